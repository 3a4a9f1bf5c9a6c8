"""Who works on a link, and what becomes of the work of whoever lost it."""

import asyncio
import time
from typing import Any

import pytest
import uuid_utils
from backbone.database import Database
from backbone.handlers import Work
from backbone.leases import LeaseKeeper
from backbone.retries import Snooze
from backbone.shares import Shares
from cloud_simulator.testing import RunningSimulator
from clouds.errors import Invalid, TimeoutUnknown
from clouds.providers import Clouds
from contracts.events import (
    LinkEnsured,
    LinkRemoved,
    ProjectCreated,
    ProvisioningCancelled,
    ProvisioningRequested,
    RemovalRequested,
)
from link_provisioner.handlers import cancel_run, ensure_link, finish_access_end, want_removal
from link_provisioner.provisioner import Provisioner
from link_provisioner.testing import Story


async def test_an_older_run_is_dropped(linked: Story) -> None:
    """A command that comes late says nothing and changes nothing."""
    await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 3, reason="retry"))
    assert await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 2, reason="retry")) == []
    assert (await linked.row()).run == 3


async def test_a_leased_row_makes_the_event_wait(story: Story) -> None:
    """Somebody else works on it: the message comes again when the lease has ended."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    await story.change("state = 'pending', fact = NULL, lease_until = clock_timestamp() + interval '9 s'")
    with pytest.raises(Snooze) as caught:
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert 8 < caught.value.delay <= 9


async def test_a_newer_run_waits_for_older_work_and_takes_its_right_at_once(story: Story) -> None:
    """The fence rises when the newer run is heard of, though its own work begins after the open lease."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    await story.change("state = 'pending', fact = NULL, lease_until = clock_timestamp() + interval '9 s'")
    fence = (await story.row()).fence
    with pytest.raises(Snooze):
        await story.call_out(ensure_link, story.command(ProvisioningRequested, 2, reason="retry"))
    row = await story.row()
    assert (row.run, row.fence > fence) == (2, True)


async def test_two_workers_on_one_event_make_one_project(
    story: Story, simulator: RunningSimulator, database: Database, clouds: Clouds
) -> None:
    """One takes the lease and the other waits; both would end with the same project."""
    await simulator.behave(latency_ms={"project": 1000})
    event = story.command(ProjectCreated)
    workers = [
        Provisioner(database, clouds, LeaseKeeper(database, "links", "identifier", 15), Shares(8, 8), 60)
        for _ in range(8)
    ]
    ended = await asyncio.gather(*(_ensure(event, worker, database) for worker in workers), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ended) == ["NoneType"] + ["Snooze"] * 7
    assert [type(each) for each in await story.sent()] == [LinkEnsured]
    stats = await simulator.stats()
    assert (stats["objects"]["projects"], stats["duplicate_effects"]) == (1, 0)


async def test_a_lease_is_given_once_to_deliveries_that_ask_together(story: Story, simulator: RunningSimulator) -> None:
    """The same event twice behind another project's: the two share a transaction, and one of them waits."""
    await simulator.behave(latency_ms={"project": 1000})
    first = Story(story.database, story.provisioner, f"{story.identifier}-first").command(ProjectCreated)
    event = story.command(ProjectCreated)
    ended = await asyncio.gather(
        *(_ensure(each, story.provisioner, story.database) for each in (first, event, event)), return_exceptions=True
    )
    assert sorted(type(end).__name__ for end in ended) == ["NoneType", "NoneType", "Snooze"]
    assert {each.identifier for each in await story.sent()} == {first.identifier, event.identifier}


async def _ensure(event: Any, provisioner: Provisioner, database: Database) -> None:
    work = Work(database, str(uuid_utils.uuid7()), attempt=1)
    await ensure_link(event, work=work, provisioner=provisioner)


async def being_made(story: Story, simulator: RunningSimulator) -> "asyncio.Task[list[Any]]":
    """The work of a project's first run, whose create is on the cloud and takes a while."""
    await simulator.behave(latency_ms={"project": 300})
    working = asyncio.create_task(story.call_out(ensure_link, story.command(ProjectCreated)))
    while (await simulator.stats())["calls"]["by_route"].get("POST /identity/projects", 0) == 0:  # noqa: ASYNC110 - another process's state
        await asyncio.sleep(0.01)
    return working


async def test_a_stale_workers_result_is_refused(story: Story, simulator: RunningSimulator) -> None:
    """A newer run that comes during the call leaves nothing of the older one: no record, no fact."""
    working = await being_made(story, simulator)
    await story.write(cancel_run, story.command(ProvisioningCancelled, 2, cancelled_by="ann"))
    with pytest.raises(Snooze, match="lease was lost"):
        await working
    row = await story.row()
    assert (await story.sent(), row.state, row.provider_project_id, row.run) == ([], "cancelled", None, 2)
    assert await story.call_out(ensure_link, story.command(ProjectCreated)) == []


async def test_a_newer_run_need_not_wait_for_the_end_of_a_lease_whose_work_has_ended(
    story: Story, simulator: RunningSimulator
) -> None:
    """A removal that comes while the project is being made goes on as soon as the cloud has answered."""
    working = await being_made(story, simulator)
    await story.write(want_removal, story.command(RemovalRequested, 2))
    with pytest.raises(Snooze) as caught:
        await story.call_out(finish_access_end, story.access_revoked(2))
    assert caught.value.delay == 1
    with pytest.raises(Snooze, match="lease was lost"):
        await working
    (fact,) = await story.call_out(finish_access_end, story.access_revoked(2))
    assert (type(fact), (await simulator.stats())["objects"]["projects"]) == (LinkRemoved, 0)


async def test_a_worker_that_was_late_leaves_the_lease_of_the_next_one(
    story: Story, simulator: RunningSimulator
) -> None:
    """What it gives back is its own lease alone; that of whoever took the link after it stays open."""
    working = await being_made(story, simulator)
    await story.change("fence = fence + 1, leased_as = fence + 1")
    with pytest.raises(Snooze, match="lease was lost"):
        await working
    assert (await story.row()).lease_until is not None


async def test_a_worker_whose_lease_ran_out_writes_nothing(
    story: Story, simulator: RunningSimulator, database: Database, clouds: Clouds
) -> None:
    """A process that was frozen wakes to find its lease gone, and creates no project."""

    class Frozen(LeaseKeeper):
        def hold(self, key: str, fence: int, asked_at: float | None = None) -> Any:
            return super().hold(key, fence, time.monotonic() - 60)

    story.provisioner = Provisioner(database, clouds, Frozen(database, "links", "identifier", 15), Shares(8, 8), 60)
    with pytest.raises(Snooze, match="lease was lost"):
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert (await simulator.stats())["objects"]["projects"] == 0


async def test_a_failed_call_gives_the_lease_back(story: Story, simulator: RunningSimulator) -> None:
    """The next try need not wait for the lease to run out."""
    await simulator.behave(fail_project_names=["Shop"])
    with pytest.raises(Invalid):
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert (await story.row()).lease_until is None


@pytest.mark.parametrize("tenant", [1, None])
async def test_a_links_place_is_its_tenants(
    story: Story, database: Database, clouds: Clouds, tenant: int | None
) -> None:
    """Its newest command says whose it is, also where what comes at last is another service's event."""

    class Noted(Shares):
        def place(self, region: str, tenant: int | None) -> Any:
            asked.append((region, tenant))
            return super().place(region, tenant)

    asked: list[tuple[str, int | None]] = []
    story.provisioner = Provisioner(database, clouds, LeaseKeeper(database, "links", "identifier", 15), Noted(8, 8), 60)
    await story.call_out(ensure_link, story.command(ProjectCreated, tenant_id=7))
    await story.write(want_removal, story.command(RemovalRequested, 2, tenant_id=tenant))
    await story.call_out(finish_access_end, story.access_revoked(2))
    assert asked == [("here", 7), ("here", tenant)]


async def test_whoever_is_sent_back_from_the_line_gives_its_lease_back(
    story: Story, simulator: RunningSimulator, database: Database, clouds: Clouds
) -> None:
    """The message comes again in a while, and whoever gets it then need not wait for a lease; no call was made."""
    shares = Shares(1, 0, patience=0)
    story.provisioner = Provisioner(database, clouds, LeaseKeeper(database, "links", "identifier", 15), shares, 60)
    async with shares.place("here", 2):
        with pytest.raises(Snooze, match="slow"):
            await story.call_out(ensure_link, story.command(ProjectCreated))
    row = await story.row()
    assert (row.state, row.lease_until, (await simulator.stats())["calls"]["total"]) == ("pending", None, 0)


async def test_a_call_that_takes_too_long_is_ended(
    story: Story, simulator: RunningSimulator, database: Database, clouds: Clouds
) -> None:
    """A try has a longest time, after which it counts as failed and may be made again."""
    await simulator.behave(hang_rate=1.0)
    story.provisioner = Provisioner(
        database, clouds, LeaseKeeper(database, "links", "identifier", 15), Shares(8, 8), 0.2
    )
    with pytest.raises(TimeoutUnknown, match="longer than") as caught:
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert caught.value.retryable
