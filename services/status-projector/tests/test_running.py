"""What is said of runs that go on."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from backbone.database import Database
from backbone.envelope import Envelope, Message
from contracts.events import Event, ProvisioningRequested, Step
from prometheus_client import CollectorRegistry
from status_projector.handlers import fold_events
from status_projector.running import Running
from status_projector.settings import Settings
from status_projector.testing import failed, linked, requested, synced

STARTED = (
    "INSERT INTO project_status (identifier, provider, region, finished, started_at, step, step_since, picture)"
    " VALUES (:identifier, 'zadara', :region, :finished, now() - make_interval(secs => :age), :step,"
    " now() - make_interval(secs => :step_age), CAST(:picture AS jsonb))"
)
Labels = Mapping[str, str]


async def started(database: Database, identifier: str, age: float, **more: object) -> None:
    """A run that began ``age`` seconds ago."""
    given = {"region": "r1", "finished": False, "step": "link", "step_age": age, "picture": '{"waiting": null}'}
    async with database.transaction() as tx:
        await tx.execute(STARTED, {"identifier": identifier, "age": age, **given, **more})


@pytest.fixture
def settings() -> Settings:
    """Link 60, users 240, all 300 seconds."""
    return Settings.model_validate({"database_url": "postgresql://unused", "amqp_url": "amqp://unused"})


async def looked(database: Database, settings: Settings) -> CollectorRegistry:
    """A registry with the metrics after one look."""
    registry, running = CollectorRegistry(), Running()
    registry.register(running)
    await running.look(database, settings)
    return registry


async def test_runs_are_counted_by_region_with_the_oldest_ones_age(database: Database, settings: Settings) -> None:
    """By the database's clock; what ended or waits for its request is none of them."""
    await started(database, "A1", 10)
    await started(database, "A2", 50)
    await started(database, "A3", 5, region="r2")
    await started(database, "A4", 900, finished=True)
    registry = await looked(database, settings)
    r1 = {"provider": "zadara", "region": "r1"}
    assert registry.get_sample_value("uca_provisioning_running", r1) == 2
    assert round(registry.get_sample_value("uca_provisioning_oldest_running_seconds", r1) or 0) == 50
    assert registry.get_sample_value("uca_provisioning_running", r1 | {"region": "r2"}) == 1


async def test_a_step_is_overdue_after_its_share_with_the_reason(database: Database, settings: Settings) -> None:
    """By region. The users step may take longer than the link; a reason is what the run waits for, or that it works."""
    waits = '{"waiting": {"code": "rate"}}'
    await started(database, "A1", 70)
    await started(database, "A2", 200, step="users", step_age=190)
    await started(database, "A3", 280, step="users", step_age=250, picture=waits)
    await started(database, "A4", 280, step="users", step_age=250, picture=waits, region="r2")
    registry = await looked(database, settings)
    r1, r2 = ({"provider": "zadara", "region": region} for region in ("r1", "r2"))
    assert registry.get_sample_value("uca_step_overdue", r1 | {"step": "link", "reason": "working"}) == 1
    assert registry.get_sample_value("uca_step_overdue", r1 | {"step": "users", "reason": "rate"}) == 1
    assert registry.get_sample_value("uca_step_overdue", r2 | {"step": "users", "reason": "rate"}) == 1
    assert registry.get_sample_value("uca_step_overdue", r1 | {"step": "users", "reason": "working"}) is None


async def test_overdue_runs_are_named_fifty_at_most(database: Database, settings: Settings) -> None:
    """The oldest ones, and never one that ended."""
    for number in range(60):
        await started(database, f"A{number}", 400 - number)
    await started(database, "ended", 900, finished=True)
    registry = await looked(database, settings)
    named = [
        s.labels["identifier"] for m in registry.collect() if m.name == "uca_provisioning_overdue" for s in m.samples
    ]
    assert named == [f"A{number}" for number in range(50)]


ENDED = (
    "INSERT INTO project_status (identifier, run, finished, started_at, completed_at, picture) VALUES (:identifier, 1,"
    " true, now() - make_interval(secs => :age), now() - make_interval(secs => :since),"
    " jsonb_build_object('failure', CAST(:failure AS jsonb), 'steps',"
    " jsonb_build_array(jsonb_build_object('updated_at', now() - make_interval(secs => :linked)))))"
)
DELAYED = (
    "INSERT INTO events (event_id, identifier, run, type, time, data)"
    " VALUES (gen_random_uuid(), :identifier, 1, 'ProvisioningDelayed', now(), '{\"code\": \"rate\"}')"
)


async def ended(database: Database, identifier: str, age: float, **more: object) -> None:
    """A run that began ``age`` seconds ago, was linked ``linked`` and ended ``since`` seconds ago."""
    async with database.transaction() as tx:
        given = {"identifier": identifier, "age": age, "since": 10, "linked": 20, "failure": None}
        await tx.execute(ENDED, given | more)


def late(registry: CollectorRegistry) -> list[Labels]:
    """The labels of every run that is said to have ended late."""
    return [s.labels for m in registry.collect() if m.name == "uca_provisioning_late" for s in m.samples]


async def test_a_run_that_ended_late_is_named_with_step_and_reason(database: Database, settings: Settings) -> None:
    """The step that took longer, and what it last waited for; not a quick run, nor one that ended long ago."""
    await ended(database, "A1", 400)
    await ended(database, "A2", 250)
    await ended(database, "A3", 2000, since=1000)
    async with database.transaction() as tx:
        await tx.execute(DELAYED, {"identifier": "A1"})
    assert late(await looked(database, settings)) == [{"identifier": "A1", "step": "link", "reason": "rate"}]


async def test_a_run_that_failed_late_is_named_with_its_failure(database: Database, settings: Settings) -> None:
    """Its step and its code go before what took long."""
    await ended(database, "A1", 400, failure='{"step": "link", "code": "deadline"}', linked=390)
    await ended(database, "A2", 500, linked=490)
    assert {one["identifier"]: (one["step"], one["reason"]) for one in late(await looked(database, settings))} == {
        "A1": ("link", "deadline"),
        "A2": ("users", "working"),
    }


class Nobody:
    """Watches nothing."""

    def offer(self, message: Message) -> None:
        """Is told nothing."""


async def told(database: Database, settings: Settings, *parts: Sequence[tuple[Event, datetime]]) -> list[Labels]:
    """The runs that are said to have ended late, after these events were folded, a transaction for each part."""
    running, registry = Running(), CollectorRegistry()
    registry.register(running)
    for part in parts:
        envelopes = [Envelope(str(uuid4()), "test", time, event, correlation="A1/1") for event, time in part]
        async with database.transaction() as tx:
            await fold_events(envelopes, tx=tx, announcer=Nobody(), running=running, slow_seconds=settings.slow_seconds)  # type: ignore[arg-type] # nobody is told
    await running.look(database, settings)
    return late(registry)


@pytest.mark.parametrize(("linked_after", "step"), [(10, "users"), (690, "link")])
async def test_a_late_end_that_is_folded_late_is_named(
    database: Database, settings: Settings, linked_after: float, step: str
) -> None:
    """The projector was away meanwhile; whoever is on call learns of it once it is back."""
    began = datetime.now(UTC) - timedelta(seconds=1700)
    end = [(linked(), began + timedelta(seconds=linked_after)), (synced(1), began + timedelta(seconds=700))]
    found = await told(database, settings, [(requested(users=1, requested_at=began), began), *end])
    assert [(each["step"], each["reason"]) for each in found] == [(step, "working")]


async def test_a_late_failure_that_is_retried_at_once_is_named(database: Database, settings: Settings) -> None:
    """The newer run has taken its row before anybody looked."""
    now = datetime.now(UTC)
    began = now - timedelta(seconds=400)
    first = [(requested(users=1, requested_at=began), began), (failed(step=Step.LINK), now - timedelta(seconds=2))]
    again = requested(ProvisioningRequested, users=1, run=2, reason="retry", requested_at=now)
    assert [each["step"] for each in await told(database, settings, first, [(again, now)])] == ["link"]


async def test_a_late_end_keeps_its_labels_for_as_long_as_it_is_told(database: Database, settings: Settings) -> None:
    """Other ones would be another alert: what the database named first, the memory of the fold goes on with."""
    running, registry = Running(), CollectorRegistry()
    registry.register(running)
    began = datetime.now(UTC) - timedelta(seconds=700)
    story = [(requested(users=1, requested_at=began), 0), (linked(), 690), (synced(1), 699)]
    envelopes = [
        Envelope(str(uuid4()), "test", began + timedelta(seconds=after), event, correlation="A1/1")
        for event, after in story
    ]
    async with database.transaction() as tx:
        await fold_events(envelopes, tx=tx, announcer=Nobody(), running=running, slow_seconds=settings.slow_seconds)  # type: ignore[arg-type] # nobody is told
        await tx.execute(DELAYED, {"identifier": envelopes[0].data.identifier})
    await running.look(database, settings)
    first = late(registry)
    assert [(each["step"], each["reason"]) for each in first] == [("link", "rate")]
    async with database.transaction() as tx:
        await tx.execute("UPDATE project_status SET completed_at = completed_at - interval '15 minutes'")
    await running.look(database, settings)
    assert late(registry) == first
