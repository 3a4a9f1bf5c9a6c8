"""The real parts that the handlers stand on: a migrated database, and the cloud simulator behind the real adapter."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest
from backbone.database import Database
from backbone.testing import service_database
from cloud_simulator.testing import RunningSimulator, running_simulator
from clouds.providers import Clouds
from clouds.regions import Region
from pydantic import SecretStr
from user_syncer.settings import Settings
from user_syncer.testing import Project, Replica, linked_project

CANARY = "canary-"


@pytest.fixture(scope="session")
async def migrated(postgres_url: str) -> AsyncIterator[Database]:
    """One database for every test here, entered with the service's rights."""
    async with service_database(
        postgres_url, "user_syncer", role="uca_user_syncer", readers=("uca_project_api",)
    ) as opened:
        yield opened


@pytest.fixture
async def database(migrated: Database) -> Database:
    """The database, emptied."""
    async with migrated.transaction() as tx:
        for table in ("chunks", "member_records", "runs", "orphans", "outbox", "inbox"):
            await tx.execute(f"DELETE FROM {table}")
    return migrated


@pytest.fixture(scope="session")
async def process() -> AsyncIterator[RunningSimulator]:
    """One simulator for every test here; its secrets bear a mark."""
    async with running_simulator(mark_secrets=CANARY) as running:
        yield running


@pytest.fixture
async def simulator(process: RunningSimulator) -> RunningSimulator:
    """The simulator, emptied, and without delays."""
    await process.reset()
    await process.behave(latency_ms={"project": 0, "user": 0, "default": 0})
    return process


def region(simulator: RunningSimulator, code: str = "here") -> Region:
    """A region that calls the simulator."""
    return Region(
        code=code,
        name="Here",
        provider="zadara",
        url=simulator.url,
        account=simulator.account,
        username=simulator.settings.username,
        password=SecretStr(simulator.settings.password),
        roles={"admin": "tenant_admin"},
    )


MakeReplica = Callable[..., Replica]


@pytest.fixture
async def make_replica(database: Database, simulator: RunningSimulator) -> AsyncIterator[MakeReplica]:
    """Replicas with database connections and cloud sessions of their own."""
    made: list[Replica] = []

    def make(regions: Iterable[str] = ("here",), **settings: Any) -> Replica:
        given = {"database_url": database.url, "amqp_url": "amqp://nobody@127.0.0.1:9/", "cloud_regions_file": "none"}
        chosen = Settings.model_validate({"chunk_size": 3, "record_every": 0.2, "patience": 0.2, **given, **settings})
        # No test waits for a breaker to close.
        cloud = replace(chosen.cloud, repeats=0, breaker_failures=1000)
        own = Database(database.url, schema="user_syncer", source="user-syncer")
        clouds = Clouds({code: region(simulator, code) for code in regions}, cloud)
        made.append(Replica(own, clouds, chosen))
        return made[-1]

    yield make
    for replica in made:
        await replica.clouds.aclose()
        await replica.database.close()


@pytest.fixture
async def replica(make_replica: MakeReplica) -> Replica:
    """The one replica of most tests."""
    return make_replica()


@pytest.fixture
async def project(replica: Replica) -> Project:
    """The one project of most tests."""
    return await linked_project(replica)


Hold = Callable[[Replica, int], asyncio.Event]


@pytest.fixture
def hold(monkeypatch: pytest.MonkeyPatch) -> Hold:
    """`hold(replica, user_id)`: nothing is done for this user on the cloud until the event that it returns is set."""

    def hold(replica: Replica, user_id: int) -> asyncio.Event:
        cloud = replica.clouds.open("here")
        ended, sync = asyncio.Event(), cloud.sync_user

        async def slow(project_id: str, change: Any) -> Any:
            if change.user_id == user_id:
                await ended.wait()
            return await sync(project_id, change)

        monkeypatch.setattr(cloud, "sync_user", slow)
        return ended

    return hold
