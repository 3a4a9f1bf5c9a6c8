"""The service as it runs: processes on the real broker and database, and the simulator as their cloud."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backbone import topology
from backbone.database import Database
from backbone.process_testing import Surroundings, own_virtual_host, surroundings
from backbone.testing import service_database
from cloud_simulator.testing import RunningSimulator, free_port
from contracts.events import LinkEnsured, ProjectCreated, ProvisioningDelayed, ProvisioningFailed
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from link_provisioner.testing import TYPES

ROLE, READERS = "uca_link_provisioner", ["uca_project_api", "uca_project_api_tenant"]


@pytest.fixture(scope="module")
async def broker(rabbitmq_url: str, rabbitmq_api_url: str) -> AsyncIterator[str]:
    """A virtual host of this module's own."""
    async with own_virtual_host(rabbitmq_url, rabbitmq_api_url, SUBSCRIPTIONS, PUBLICATIONS) as url:
        yield url


@pytest.fixture(scope="module")
async def own_database(postgres_url: str) -> AsyncIterator[Database]:
    """Whose outbox these processes empty, so that no other test's events leave by it."""
    async with service_database(postgres_url, "link_provisioner", role=ROLE, readers=READERS) as opened:
        yield opened


@pytest.fixture
async def around(
    broker: str, own_database: Database, simulator: RunningSimulator, tmp_path: Path
) -> AsyncIterator[Surroundings]:
    """Broker, database and cloud, with somebody who listens in status-projector's place."""
    environment = {
        **simulator.settings_of_a_worker(tmp_path),
        "DATABASE_URL": own_database.url,
        "LEASE_SECONDS": "1",
    }
    queue = topology.names("status-projector").work
    async with surroundings("link_provisioner", broker, queue, TYPES, environment) as built:
        yield built


def asked(identifier: str, **fields: Any) -> ProjectCreated:
    """A project's first command."""
    now = datetime.now(UTC)
    known = {"name": "Shop", "tenant_id": 1, "provider": "zadara", "region": "here", "participants": ()}
    times = {"requested_at": now, "deadline_at": now + timedelta(days=1)}
    return ProjectCreated.model_validate({**known, **times, "identifier": identifier, "run": 1, **fields})


async def test_a_command_becomes_a_fact(around: Surroundings, simulator: RunningSimulator) -> None:
    """The queue's next event is the cloud project's id; the process ends in peace when it is told to."""
    async with around.running(free_port()) as process:
        await around.say(asked("S1"))
        fact = await around.facts.next()
    assert isinstance(fact, LinkEnsured)
    assert (fact.identifier, fact.outcome) == ("S1", "created")
    assert process.returncode == 0


async def test_a_refusal_becomes_a_failure(around: Surroundings, simulator: RunningSimulator) -> None:
    """What the cloud will never accept is tried once, and said in its words."""
    await simulator.behave(fail_project_names=["Bad"])
    async with around.running(free_port()):
        await around.say(asked("S2", name="Bad"))
        fact = await around.facts.next()
    assert isinstance(fact, ProvisioningFailed)
    assert (fact.step, fact.code, fact.tries, fact.retryable) == ("link", "invalid", 1, False)


async def test_a_failing_step_is_tried_three_times(around: Surroundings, simulator: RunningSimulator) -> None:
    """People see each wait, and at the end the failure; another run may mend it."""
    await simulator.behave(token_ttl_s=0.0001)  # no call is let in, though each login is
    async with around.running(free_port()):
        await around.say(asked("S3"))
        facts = [await around.facts.next() for _ in range(3)]
    waits = [each for each in facts if isinstance(each, ProvisioningDelayed)]
    assert [(each.code, each.attempt, each.tries) for each in waits] == [("retry", 2, 3), ("retry", 3, 3)]
    (failure,) = [each for each in facts if isinstance(each, ProvisioningFailed)]
    assert (failure.code, failure.tries, failure.retryable) == ("auth_failed", 3, True)
    assert around.facts.is_empty()


async def test_a_refused_login_is_waited_for_at_no_cost_of_tries(
    around: Surroundings, simulator: RunningSimulator
) -> None:
    """While an account's password is changed the run waits, and goes on by itself afterwards."""
    await simulator.behave(login="locked")
    async with around.running(free_port()):
        await around.say(asked("L1"))
        waiting = await around.facts.next()
        await simulator.behave(login="ok")
        linked = await around.facts.next()
    assert isinstance(waiting, ProvisioningDelayed)
    assert (waiting.code, waiting.attempt) == ("provider", 1)
    assert isinstance(linked, LinkEnsured)


async def test_a_cloud_that_is_down_is_waited_for_at_no_cost_of_tries(
    around: Surroundings, simulator: RunningSimulator
) -> None:
    """The breaker parks the run, people see why, and it goes on by itself once the cloud is back."""
    await simulator.behave(down=True)
    async with around.running(free_port()):
        for number in range(3):
            await around.say(asked(f"D{number}"))
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
    async with around.running(free_port(), FAILPOINTS="after_cloud_call=kill") as doomed:
        await around.say(asked("S4"))
        await asyncio.wait_for(doomed.wait(), 30)
        async with around.running(free_port()):
            fact = await around.facts.next()
    assert (fact.identifier, fact.outcome) == ("S4", "adopted")
    stats = await simulator.stats()
    assert (stats["objects"]["projects"], stats["duplicate_effects"]) == (1, 0)


async def test_a_tenants_flood_holds_up_no_other_tenant(around: Surroundings, simulator: RunningSimulator) -> None:
    """Asked for behind forty of another tenant's, a project is linked before most of them, though one by one."""
    await simulator.behave(latency_ms={"project": 50})
    for number in range(40):
        await around.say(asked(f"F{number}", tenant_id=1))
    await around.say(asked("Q1", tenant_id=2))
    async with around.running(free_port(), REGION_SHARE="1"):
        facts = [await around.facts.next() for _ in range(41)]
    assert [fact.identifier for fact in facts].index("Q1") < 20


async def test_replicas_share_the_work(around: Surroundings, simulator: RunningSimulator) -> None:
    """Fifty projects, two processes: each project once, each fact once."""
    async with around.running(free_port()), around.running(free_port()):
        for number in range(50):
            await around.say(asked(f"M{number}"))
        facts = [await around.facts.next() for _ in range(50)]
    assert {fact.identifier for fact in facts} == {f"M{number}" for number in range(50)}
    stats = await simulator.stats()
    assert (stats["objects"]["projects"], stats["duplicate_effects"]) == (50, 0)
    assert around.facts.is_empty()
