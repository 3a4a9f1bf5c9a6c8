"""A running simulator for every test: one process for the suite, emptied before each."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import httpx
import pytest
from cloud_simulator.testing import RunningSimulator, running_simulator

Login = Callable[..., dict[str, Any]]


@pytest.fixture(scope="session")
async def process() -> AsyncIterator[RunningSimulator]:
    """Two accounts, and secrets that bear a mark."""
    async with running_simulator(accounts=["uca", "other"], mark_secrets="canary-") as running:
        yield running


@pytest.fixture
async def simulator(process: RunningSimulator) -> RunningSimulator:
    """Empty, and without delays."""
    await process.reset()
    await process.behave(latency_ms={"project": 0, "user": 0})
    return process


@pytest.fixture
def login(simulator: RunningSimulator) -> Login:
    """Makes a Keystone login of the admin, scoped to the first account; what is named replaces that."""

    def body(*, scope: Any = None, **user: Any) -> dict[str, Any]:
        known = {"name": simulator.settings.username, "password": simulator.settings.password}
        identity = {"methods": ["password"], "password": {"user": known | {"domain": {"name": "uca"}} | user}}
        return {"auth": {"identity": identity, "scope": scope or {"domain": {"name": "uca"}}}}

    return body


@pytest.fixture
async def api(simulator: RunningSimulator, login: Login) -> AsyncIterator[httpx.AsyncClient]:
    """A client with an admin's token for the first account."""
    async with httpx.AsyncClient(base_url=f"{simulator.url}/api/v2", trust_env=False, timeout=10) as client:
        answer = await client.post("/identity/auth", json=login())
        client.headers["x-auth-token"] = answer.headers["x-subject-token"]
        yield client


@pytest.fixture
async def project_id(api: httpx.AsyncClient) -> str:
    """A project that bears a link mark."""
    answer = await api.post("/identity/projects", json={"name": "shop-p1", "description": "uca:p1"})
    return str(answer.json()["id"])


@pytest.fixture
async def user_id(api: httpx.AsyncClient) -> str:
    """A user without any role."""
    answer = await api.post("/identity/users", json={"name": "ann@x.org", "email": "ann@x.org", "password": "pw"})
    return str(answer.json()["id"])
