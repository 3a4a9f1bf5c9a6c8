"""A running simulator for every test, as at its start but without delays."""

from collections.abc import AsyncIterator

import httpx
import pytest
from cloud_simulator.testing import RunningSimulator, running_simulator

SECRET_MARK = "canary-"


@pytest.fixture(scope="session")
async def process() -> AsyncIterator[RunningSimulator]:
    """One process for the whole suite: starting takes far longer than a reset."""
    async with running_simulator(accounts=["uca", "other"], mark_secrets=SECRET_MARK) as running:
        yield running


@pytest.fixture
async def simulator(process: RunningSimulator) -> RunningSimulator:
    """Empty, and quick."""
    await process.reset()
    await process.behave(latency_ms={"project": 0, "user": 0})
    return process


@pytest.fixture
async def api(simulator: RunningSimulator) -> AsyncIterator[httpx.AsyncClient]:
    """A client that bears an admin's token for the first account; the login is not in the counts."""
    async with httpx.AsyncClient(base_url=f"{simulator.url}/api/v2", trust_env=False, timeout=10) as client:
        answer = await client.post("/identity/auth", json=login(simulator))
        client.headers["x-auth-token"] = answer.headers["x-subject-token"]
        await simulator.reset()
        await simulator.behave(latency_ms={"project": 0, "user": 0})
        yield client


def login(simulator: RunningSimulator, **changes: object) -> dict[str, object]:
    """A Keystone login of the admin, scoped to the first account; `changes` replace fields of user or the scope."""
    scope = changes.pop("scope", {"domain": {"name": simulator.account}})
    user = {"name": simulator.settings.username, "domain": {"name": simulator.account}}
    user |= {"password": simulator.settings.password} | changes
    return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}
