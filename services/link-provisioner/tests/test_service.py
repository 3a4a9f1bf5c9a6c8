"""The service as it runs: processes on the real broker and database, and the simulator as their cloud."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
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
from contracts.events import RECORDED, LinkEnsured, ProjectCreated, ProvisioningDelayed, ProvisioningFailed
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS

ROLE, READERS = "uca_link_provisioner", ["uca_project_api", "uca_project_api_tenant"]
RETRY_SCALE = 0.02
TYPES = {kind.__name__: kind for kind in RECORDED}


@pytest.fixture(scope="module")
async def broker(rabbitmq_url: str, rabbitmq_api_url: str) -> AsyncIterator[str]:
    """A virtual host of this module's own with every queue; entered as the administrator, for users are shared."""
    name = f"links-{secrets.token_hex(4)}"
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
    async with service_database(postgres_url, "link_provisioner", role=ROLE, readers=READERS) as opened:
        yield opened


class Surroundings:
    """What stands around the processes: who asks, and who hears the facts."""

    def __init__(self, publisher: Publisher, environment: Mapping[str, str]) -> None:
        self.facts = Seen()
        self._publisher = publisher
        self._environment = environment

    async def ask(self, identifier: str, **fields: Any) -> None:
        """Sends a project's first command."""
        now = datetime.now(UTC)
        known = {"name": "Shop", "tenant_id": 1, "provider": "zadara", "region": "here", "participants": ()}
        times = {"requested_at": now, "deadline_at": now + timedelta(days=1)}
        event = ProjectCreated.model_validate({**known, **times, "identifier": identifier, "run": 1, **fields})
        messages = pack([seal(event, source="project-api", time=now, context=Context())])
        assert await self._publisher.publish(messages) == [messages[0].id]

    async def hear(self, delivery: Delivery) -> None:
        """Stands in for status-projector."""
        for envelope in unpack(delivery.body, delivery.content_type, TYPES):
            if not isinstance(envelope.data, ProjectCreated):
                self.facts.note(envelope.data)
        delivery.ack()

    @asynccontextmanager
    async def replica(self, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process of link-provisioner, ready; told to stop at the end."""
        port = free_port()
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "link_provisioner"),
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
        "RETRY_SCALE": str(RETRY_SCALE),
        "LEASE_SECONDS": "1",
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


async def test_a_command_becomes_a_fact(around: Surroundings, simulator: RunningSimulator) -> None:
    """The queue's next event is the cloud project's id; the process ends in peace when it is told to."""
    async with around.replica() as process:
        await around.ask("S1")
        fact = await around.facts.next()
    assert isinstance(fact, LinkEnsured)
    assert (fact.identifier, fact.outcome) == ("S1", "created")
    assert process.returncode == 0


async def test_a_refusal_becomes_a_failure(around: Surroundings, simulator: RunningSimulator) -> None:
    """What the cloud will never accept is tried once, and said in its words."""
    await simulator.behave(fail_project_names=["Bad"])
    async with around.replica():
        await around.ask("S2", name="Bad")
        fact = await around.facts.next()
    assert isinstance(fact, ProvisioningFailed)
    assert (fact.step, fact.code, fact.tries, fact.retryable) == ("link", "invalid", 1, False)


async def test_a_failing_step_is_tried_three_times(around: Surroundings) -> None:
    """People see each wait, and at the end the failure; another run may mend it."""
    async with around.replica(CLOUD_SECRET="mistaken"):
        await around.ask("S3")
        facts = [await around.facts.next() for _ in range(3)]
    waits = [each for each in facts if isinstance(each, ProvisioningDelayed)]
    assert [(each.code, each.attempt, each.tries) for each in waits] == [("retry", 2, 3), ("retry", 3, 3)]
    (failure,) = [each for each in facts if isinstance(each, ProvisioningFailed)]
    assert (failure.code, failure.tries, failure.retryable) == ("auth_failed", 3, True)
    assert around.facts.is_empty()


async def test_a_cloud_that_is_down_is_waited_for_at_no_cost_of_tries(
    around: Surroundings, simulator: RunningSimulator
) -> None:
    """The breaker parks the run, people see why, and it goes on by itself once the cloud is back."""
    await simulator.behave(down=True)
    async with around.replica():
        for number in range(3):
            await around.ask(f"D{number}")
        waiting: dict[str, str] = {}
        while sum(code == "provider" for code in waiting.values()) < 3:
            fact = await around.facts.next()
            waiting[fact.identifier] = fact.code
        await simulator.behave(down=False)
        linked: set[str] = set()
        while len(linked) < 3:
            fact = await around.facts.next()
            assert not isinstance(fact, ProvisioningFailed)
            linked |= {fact.identifier} if isinstance(fact, LinkEnsured) else set()


async def test_a_worker_that_dies_after_the_call_leaves_no_second_project(
    around: Surroundings, simulator: RunningSimulator
) -> None:
    """Killed between the cloud's answer and its own record: another replica adopts what was made."""
    async with around.replica(FAILPOINTS="after_cloud_call=kill") as doomed:
        await around.ask("S4")
        await asyncio.wait_for(doomed.wait(), 30)
        async with around.replica():
            fact = await around.facts.next()
    assert (fact.identifier, fact.outcome) == ("S4", "adopted")
    stats = await simulator.stats()
    assert (stats["objects"]["projects"], stats["duplicate_effects"]) == (1, 0)


async def test_replicas_share_the_work(around: Surroundings, simulator: RunningSimulator) -> None:
    """Fifty projects, two processes: each project once, each fact once."""
    async with around.replica(), around.replica():
        for number in range(50):
            await around.ask(f"M{number}")
        facts = [await around.facts.next() for _ in range(50)]
    assert {fact.identifier for fact in facts} == {f"M{number}" for number in range(50)}
    stats = await simulator.stats()
    assert (stats["objects"]["projects"], stats["duplicate_effects"]) == (50, 0)
    assert around.facts.is_empty()
