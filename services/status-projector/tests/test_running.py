"""What is said of runs that go on."""

from collections.abc import Mapping

import pytest
from backbone.database import Database
from prometheus_client import CollectorRegistry
from sqlalchemy import text
from status_projector.running import Running
from status_projector.settings import Settings

STARTED = text(
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
    """The users step may take longer than the link; a reason is what the run waits for, or that it works."""
    waits = '{"waiting": {"code": "rate"}}'
    await started(database, "A1", 70)
    await started(database, "A2", 200, step="users", step_age=190)
    await started(database, "A3", 280, step="users", step_age=250, picture=waits)
    registry = await looked(database, settings)
    assert registry.get_sample_value("uca_step_overdue", {"step": "link", "reason": "working"}) == 1
    assert registry.get_sample_value("uca_step_overdue", {"step": "users", "reason": "rate"}) == 1
    assert registry.get_sample_value("uca_step_overdue", {"step": "users", "reason": "working"}) is None


async def test_overdue_runs_are_named_fifty_at_most(database: Database, settings: Settings) -> None:
    """The oldest ones, and never one that ended."""
    for number in range(60):
        await started(database, f"A{number}", 400 - number)
    registry = await looked(database, settings)
    named = [
        s.labels["identifier"] for m in registry.collect() if m.name == "uca_provisioning_overdue" for s in m.samples
    ]
    assert named == [f"A{number}" for number in range(50)]
