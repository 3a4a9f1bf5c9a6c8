"""A private stack for what clouds do to it: quick retries, short timeouts, and a region on a busy Keystone."""

import asyncio
import fcntl
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import asyncpg
import httpx
import pytest
from clouds.providers import Clouds
from clouds.regions import load_regions
from clouds.testing import Keystone, running_keystone
from local.services import SERVICES
from local.sharing import shared
from local.stack import Stack

from tests.e2e.conftest import Portal

SETTINGS = {"RETRY_SCALE": "0.02", "CLOUD_TIMEOUT": "0.5", "STRAYS_AFTER": "1", "SWEEP_SECONDS": "1"}
WELL: dict[str, Any] = {
    "latency_ms": {"default": 0, "project": 0, "user": 0},
    "error_rate": 0.0,
    "error_status": 500,
    "rate_limit_per_s": None,
    "hang_rate": 0.0,
    "cut_after_success_rate": 0.0,
    "fail_emails": [],
    "fail_project_names": [],
    "down": False,
}


@dataclass(frozen=True)
class Ground:
    """The stack as it runs."""

    stack: Stack
    values: Mapping[str, str]
    keystone: Keystone
    settings: Mapping[str, Mapping[str, str]]
    """What each service was given beside the usual."""

    def restart_syncer(self, **more: str) -> None:
        """Starts user-syncer again with further settings."""
        parts = self.stack.infrastructure()
        chosen = {**self.settings, "user-syncer": {**self.settings["user-syncer"], **more}}
        programs = self.stack.services(parts, 1).programs(SETTINGS, chosen)
        self.stack.supervisor.configure([*parts.programs(), *programs])
        self.stack.supervisor.start("user-syncer")

    def clouds(self) -> Clouds:
        """The regions, as the services open them."""
        given = self.settings["user-syncer"]
        credentials = json.loads((self.stack.directory / "credentials.json").read_text())
        environ = {**given, "SIMULATOR_PASSWORD": credentials["simulator"]}
        return Clouds(load_regions(Path(given["CLOUD_REGIONS_FILE"]), environ))

    async def rows(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """One statement as the owner."""
        connection = await asyncpg.connect(self.values["UCA_DATABASE_URL"])
        try:
            return [dict(row) for row in await connection.fetch(statement, *values)]
        finally:
            await connection.close()


T = TypeVar("T")


async def until(look: Callable[[], Awaitable[T]]) -> T:
    """What ``look`` finds, once that is something. Raises TimeoutError after a minute."""
    async with asyncio.timeout(60):
        while True:
            if found := await look():
                return found
            await asyncio.sleep(0.1)


@pytest.fixture(scope="package")
def ground(pytestconfig: pytest.Config) -> Iterator[Ground]:
    """One replica of each service; the Keystone has eight threads, so SQLite refuses many of its writes.

    The timeout that hangs of the simulator are cut by is no measure for a real cloud on a machine at work.
    """
    directory = pytestconfig.rootpath / ".run" / "test-clouds"
    with _alone(directory), running_keystone(threads=8) as keystone, shared(Stack(directory, SETTINGS)) as stack:
        stack.start_infrastructure()
        services = stack.services(stack.infrastructure(), 1)
        settings = _with(keystone, services.simulator_url, directory / "two-regions.json")
        yield Ground(stack, stack.up(chosen=settings), keystone, settings)


@contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Waits for another session to end: each has a Keystone of its own, and the stack's services can have but one."""
    directory.mkdir(parents=True, exist_ok=True)
    with (directory / "turn").open("w") as turn:
        fcntl.flock(turn, fcntl.LOCK_EX)
        yield


@pytest.fixture
async def portal(ground: Ground) -> AsyncIterator[Portal]:
    """An admin; the cloud is well before and after each test."""
    headers = {"Authorization": f"Bearer {ground.values['UCA_ADMIN_TOKEN']}"}
    async with (
        httpx.AsyncClient(base_url=ground.values["UCA_SIMULATOR_URL"], timeout=10) as simulator,
        httpx.AsyncClient(base_url=ground.values["UCA_API_URL"], headers=headers, timeout=60) as client,
    ):
        portal = Portal([client], simulator)
        await portal.behave(**WELL)
        yield portal
        await portal.behave(**WELL)


def _with(keystone: Keystone, simulator_url: str, path: Path) -> dict[str, dict[str, str]]:
    simulated = {
        "code": "region-1",
        "name": "Region 1",
        "provider": "zadara",
        "url": simulator_url,
        "account": "uca-1",
        "username": "uca-portal",
        "password_env": "SIMULATOR_PASSWORD",
    }
    path.write_text(json.dumps([simulated, keystone.entry("busy", timeout=15)]))
    settings = {"CLOUD_REGIONS_FILE": str(path), "KEYSTONE_PASSWORD": keystone.password}
    return {service.name: settings for service in SERVICES if service.name != "status-projector"}
