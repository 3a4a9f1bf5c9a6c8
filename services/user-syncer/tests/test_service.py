"""The service as it runs: processes on the real broker and database, and the simulator as their cloud."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from backbone import topology
from backbone.database import Database
from backbone.process_testing import Surroundings, own_virtual_host, surroundings
from backbone.testing import service_database
from cloud_simulator.testing import RunningSimulator, free_port
from contracts.events import ProvisioningDelayed, ProvisioningFailed, UserSynced
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from user_syncer.testing import SEALING_KEYS, TYPES, Project, Replica, linked_project


@pytest.fixture(scope="module")
async def broker(rabbitmq_url: str, rabbitmq_api_url: str) -> AsyncIterator[str]:
    """A virtual host of this module's own."""
    async with own_virtual_host(rabbitmq_url, rabbitmq_api_url, SUBSCRIPTIONS, PUBLICATIONS) as url:
        yield url


@pytest.fixture(scope="module")
async def own_database(postgres_url: str) -> AsyncIterator[Database]:
    """Whose outbox these processes empty, so that no other test's events leave by it."""
    async with service_database(
        postgres_url, "user_syncer", role="uca_user_syncer", readers=("uca_project_api",)
    ) as opened:
        yield opened


@pytest.fixture
async def around(
    broker: str, own_database: Database, simulator: RunningSimulator, tmp_path: Path
) -> AsyncIterator[Surroundings]:
    """Broker, database and cloud, with somebody who listens in status-projector's place."""
    environment = {
        **simulator.settings_of_a_worker(tmp_path),
        "DATABASE_URL": own_database.url,
        "SEALING_KEYS": SEALING_KEYS,
        "CHUNK_SIZE": "5",
        "LEASE_SECONDS": "1",
        "SWEEP_SECONDS": "0.2",
    }
    queue = topology.names("status-projector").work
    async with surroundings("user_syncer", broker, queue, TYPES, environment) as built:
        yield built


async def begun(around: Surroundings, replica: Replica, users: int) -> Project:
    """A project whose request and link are told at once."""
    project = await linked_project(replica)
    await around.say(project.command(users=users), project.linked())
    return project


async def synced(around: Surroundings, users: int) -> list[Any]:
    """Returns what was told once so many users are synced."""
    facts: list[Any] = []
    while sum(isinstance(fact, UserSynced) for fact in facts) < users:
        facts.append(await around.facts.next())
    return facts


async def test_a_run_becomes_facts(around: Surroundings, replica: Replica) -> None:
    """Four chunks, one event a user; the process ends in peace when it is told to."""
    async with around.running(free_port()) as process:
        await begun(around, replica, users=17)
        facts = await synced(around, 17)
    assert {fact.user_id for fact in facts} == set(range(1, 18))
    assert process.returncode == 0


async def test_a_rate_limit_is_sat_out(around: Surroundings, replica: Replica, simulator: RunningSimulator) -> None:
    """A chunk's rest comes back by its own delayed ticket, until all are synced; none has failed. The limit is reached
    before all its users can have made half their calls.
    """
    async with around.running(free_port()):
        project = await linked_project(replica)
        await around.say(project.command(users=4))
        await simulator.behave(rate_limit_per_s=10, retry_after_s=3)
        await around.say(project.linked())
        facts = await synced(around, 4)
    assert not [fact for fact in facts if isinstance(fact, ProvisioningFailed)]
    assert {fact.code for fact in facts if isinstance(fact, ProvisioningDelayed)} == {"rate"}


async def test_a_worker_that_dies_after_its_calls_leaves_no_double_effect(
    around: Surroundings, replica: Replica, simulator: RunningSimulator
) -> None:
    """Killed between the cloud's answers and its own record: another replica does the chunk again, and cleans up."""
    async with around.running(free_port(), FAILPOINTS="after_cloud_call=kill") as doomed:
        await begun(around, replica, users=4)
        await asyncio.wait_for(doomed.wait(), 30)
        async with around.running(free_port()):
            await synced(around, 4)
    stats = await simulator.stats()
    assert (stats["objects"]["users"], stats["objects"]["active_keys"], stats["duplicate_effects"]) == (4, 4, 0)


async def test_replicas_share_the_work(around: Surroundings, replica: Replica, simulator: RunningSimulator) -> None:
    """Many projects, two processes: each user once."""
    async with around.running(free_port()), around.running(free_port()):
        for _ in range(20):
            await begun(around, replica, users=8)
        facts = await synced(around, 160)
    assert len({(fact.identifier, fact.user_id) for fact in facts}) == len(facts) == 160
    assert (await simulator.stats())["duplicate_effects"] == 0


async def test_a_process_that_stops_takes_nothing_more(
    around: Surroundings, own_database: Database, replica: Replica, simulator: RunningSimulator
) -> None:
    """What is in hand is finished and recorded; tickets that wait for room go back, and the next process has them."""
    await simulator.behave(latency_ms={"user": 50})
    async with around.running(free_port(), CLOUD_MAX_IN_FLIGHT="1") as process:
        await begun(around, replica, users=40)
        facts = await synced(around, 5)
    left = await own_database.execute("SELECT count(*) FROM chunks")
    assert (process.returncode, left.scalar_one() > 2) == (0, True)
    async with around.running(free_port()):
        facts += await synced(around, 40 - len(facts))
    assert len({fact.user_id for fact in facts}) == len(facts) == 40
