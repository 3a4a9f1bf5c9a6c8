"""The service as it runs: processes on the real broker and database, and the simulator as their cloud."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx
import pytest
from backbone import topology
from backbone.broker import Delivery, Publisher, Subscription
from backbone.context import Context
from backbone.database import Database
from backbone.envelope import pack, seal, unpack
from backbone.testing import Seen, service_database
from cloud_simulator.testing import RunningSimulator, free_port
from contracts.events import Event, ProvisioningDelayed, ProvisioningFailed, UserSynced
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from user_syncer.testing import SEALING_KEYS, TYPES, Project, Replica, linked_project

RETRY_SCALE = 0.02


@pytest.fixture(scope="module")
async def broker(rabbitmq_url: str, rabbitmq_api_url: str) -> AsyncIterator[str]:
    """A virtual host of this module's own with every queue; entered as the administrator, for users are shared."""
    name = f"users-{secrets.token_hex(4)}"
    async with httpx.AsyncClient(base_url=f"{rabbitmq_api_url}/api", timeout=30) as api:
        definitions = topology.definitions(SUBSCRIPTIONS, PUBLICATIONS, {}, vhost=name, retry_scale=RETRY_SCALE)
        (await api.post("/definitions", json=definitions)).raise_for_status()
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        user = quote(str(urlsplit(rabbitmq_url).username), safe="")
        (await api.put(f"/permissions/{name}/{user}", json=rights)).raise_for_status()
        yield urlsplit(rabbitmq_url)._replace(path=f"/{name}").geturl()
        await api.delete(f"/vhosts/{name}")


@pytest.fixture(scope="module")
async def own_database(postgres_url: str) -> AsyncIterator[Database]:
    """Whose outbox these processes empty, so that no other test's events leave by it."""
    async with service_database(
        postgres_url, "user_syncer", role="uca_user_syncer", readers=("uca_project_api",)
    ) as opened:
        yield opened


class Surroundings:
    """What stands around the processes: who asks, and who hears the facts."""

    def __init__(self, publisher: Publisher, environment: Mapping[str, str]) -> None:
        self.facts = Seen()
        self._publisher = publisher
        self._environment = environment

    async def say(self, *events: Event) -> None:
        """Sends events as project-api and link-provisioner would."""
        for event in events:
            messages = pack([seal(event, source="test", time=datetime.now(UTC), context=Context())])
            assert await self._publisher.publish(messages) == [messages[0].id]

    async def hear(self, delivery: Delivery) -> None:
        """Stands in for status-projector."""
        for envelope in unpack(delivery.body, delivery.content_type, TYPES):
            if envelope.source == "user-syncer":
                self.facts.note(envelope.data)
        delivery.ack()

    async def synced(self, users: int) -> list[Any]:
        """Returns what was told once so many users are synced."""
        facts: list[Any] = []
        while sum(isinstance(fact, UserSynced) for fact in facts) < users:
            facts.append(await self.facts.next())
        return facts

    @asynccontextmanager
    async def running(self, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process of user-syncer, ready; told to stop at the end."""
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "user_syncer"),
            env={**os.environ, **self._environment, "METRICS_PORT": str(port), **settings},
        )
        try:
            async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
                while not await is_ready(client, port):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 30)


async def is_ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
async def around(
    broker: str, own_database: Database, simulator: RunningSimulator, tmp_path: Path
) -> AsyncIterator[Surroundings]:
    """Broker, database and cloud, with somebody who listens in status-projector's place."""
    regions = tmp_path / "regions.json"
    region = {"code": "here", "name": "Here", "provider": "zadara", "url": simulator.url, "account": simulator.account}
    regions.write_text(
        json.dumps([{**region, "username": simulator.settings.username, "password_env": "CLOUD_SECRET"}])
    )
    environment = {
        "DATABASE_URL": own_database.url,
        "AMQP_URL": broker,
        "CLOUD_REGIONS_FILE": str(regions),
        "CLOUD_SECRET": simulator.settings.password,
        "SEALING_KEYS": SEALING_KEYS,
        "RETRY_SCALE": str(RETRY_SCALE),
        "CHUNK_SIZE": "5",
        "LEASE_SECONDS": "1",
        "SWEEP_SECONDS": "0.2",
    }
    publisher = Publisher(broker, name="test")
    surroundings = Surroundings(publisher, environment)
    queue = topology.names("status-projector").work
    listening = Subscription(broker, name="test", queues={queue: surroundings.hear}, prefetch=10)
    task = asyncio.create_task(listening.run())
    await asyncio.wait_for(listening.consuming.wait(), 30)
    yield surroundings
    listening.release()
    await asyncio.wait_for(task, 30)
    await publisher.close()


async def begun(around: Surroundings, replica: Replica, users: int) -> Project:
    """A project whose request and link are told at once."""
    project = await linked_project(replica)
    await around.say(project.command(users=users), project.linked())
    return project


async def test_a_run_becomes_facts(around: Surroundings, replica: Replica) -> None:
    """Four chunks, one event a user; the process ends in peace when it is told to."""
    async with around.running() as process:
        await begun(around, replica, users=17)
        facts = await around.synced(17)
    assert {fact.user_id for fact in facts} == set(range(1, 18))
    assert process.returncode == 0


async def test_a_rate_limit_is_sat_out(around: Surroundings, replica: Replica, simulator: RunningSimulator) -> None:
    """A chunk's rest comes back by its own delayed ticket, until all are synced; none has failed."""
    async with around.running():
        project = await linked_project(replica)
        await around.say(project.command(users=10))
        await simulator.behave(rate_limit_per_s=25, retry_after_s=3)
        await around.say(project.linked())
        facts = await around.synced(10)
    assert not [fact for fact in facts if isinstance(fact, ProvisioningFailed)]
    assert {fact.code for fact in facts if isinstance(fact, ProvisioningDelayed)} <= {"rate"}


async def test_a_worker_that_dies_after_its_calls_leaves_no_double_effect(
    around: Surroundings, replica: Replica, simulator: RunningSimulator
) -> None:
    """Killed between the cloud's answers and its own record: another replica does the chunk again, and cleans up."""
    async with around.running(FAILPOINTS="after_cloud_call=kill") as doomed:
        await begun(around, replica, users=4)
        await asyncio.wait_for(doomed.wait(), 30)
        async with around.running():
            await around.synced(4)
    stats = await simulator.stats()
    assert (stats["objects"]["users"], stats["objects"]["active_keys"], stats["duplicate_effects"]) == (4, 4, 0)


async def test_replicas_share_the_work(around: Surroundings, replica: Replica, simulator: RunningSimulator) -> None:
    """Many projects, two processes: each user once."""
    async with around.running(), around.running():
        for _ in range(20):
            await begun(around, replica, users=8)
        facts = await around.synced(160)
    assert len({(fact.identifier, fact.user_id) for fact in facts}) == len(facts) == 160
    assert (await simulator.stats())["duplicate_effects"] == 0
