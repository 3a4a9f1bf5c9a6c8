"""Chunks whose users go wrong on the way, and those that are told bit by bit: bad users, waiting clouds, bugs."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from cloud_simulator.testing import RunningSimulator
from contracts.events import (
    ProvisioningDelayed,
    ProvisioningFailed,
    ProvisioningRequested,
    UserSynced,
)
from user_syncer import orders
from user_syncer.testing import Project, Replica, linked_project, map_events


async def test_one_bad_user_fails_alone(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """A refusal is final at once: no second try, and everybody else is synced."""
    await simulator.behave(fail_emails=["user2@example.org"])
    await project.provision(users=4)
    (failure,) = replica.told(ProvisioningFailed)
    assert (failure.user_id, failure.email, failure.step) == (2, "User2@example.org", "users")
    assert (failure.code, failure.retryable, failure.tries) == ("invalid", False, 1)
    assert {event.user_id for event in replica.told(UserSynced)} == {1, 3, 4}
    assert (await simulator.stats())["calls"]["by_route"]["POST /identity/users"] == 4


async def test_a_retry_redoes_only_what_is_missing(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """After the fault is gone the next run syncs the failed user and reports the others as they are."""
    await simulator.behave(fail_emails=["user2@example.org"])
    await project.provision(users=4)
    await simulator.behave(fail_emails=[])
    replica.sent.clear()
    await project.provision(ProvisioningRequested, run=2, users=4, reason="retry")
    changed = {event.user_id: bool(event.changed) for event in replica.told(UserSynced)}
    assert changed == {1: False, 2: True, 3: False, 4: False}
    stats = await simulator.stats()
    assert (stats["duplicate_effects"], stats["objects"]["users"]) == (0, 4)


async def test_a_failing_cloud_is_tried_three_times(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Each try is told of as a delay with its number; then every user is a failure that can be retried."""
    await (await linked_project(replica)).provision(users=2)  # the accounts are there: only grants will fail
    await project.plan_only()
    await simulator.behave(error_rate=1.0)
    await replica.work_off()
    assert [(each.attempt, each.code) for each in replica.told(ProvisioningDelayed)] == [(2, "retry"), (3, "retry")]
    assert [(each.user_id, each.tries, each.retryable) for each in replica.told(ProvisioningFailed)] == [
        (1, 3, True),
        (2, 3, True),
    ]


async def test_a_rate_limit_costs_no_try(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """Users wait as long as the cloud asks, and are synced in the end at their first try."""
    await project.plan_only()
    await simulator.behave(rate_limit_per_s=1, retry_after_s=5)
    await replica.hear(next(map_events(replica.tickets())))
    (delay,) = replica.told(ProvisioningDelayed)
    assert (delay.code, delay.attempt, delay.step) == ("rate", 1, "users")
    assert [order.tries for order in await _left(replica)] == [0, 0]


async def test_maintenance_is_told_and_waited_for(replica: Replica, project: Project) -> None:
    """A paused region's chunk waits without a call; people are told why, once and not at every look."""
    await project.plan_only()
    replica.clouds.set_maintenance("here", True)
    for _ in range(3):
        await replica.run("UPDATE chunks SET not_before = now() - interval '1 ms'")
        await replica.hear(next(map_events(replica.tickets())))
    replica.clouds.set_maintenance("here", False)
    await replica.work_off()
    assert [delay.code for delay in replica.told(ProvisioningDelayed)] == ["maintenance"]
    assert len(replica.told(UserSynced)) == 2


async def test_what_waits_fails_at_the_deadline(replica: Replica, project: Project) -> None:
    """A run ends at the latest then, with the code deadline for each user who is left."""
    await project.plan_only()
    await replica.run("UPDATE chunks SET deadline_at = :now", now=datetime.now(UTC) - timedelta(seconds=1))
    await replica.work_off()
    assert [(each.user_id, each.code) for each in replica.told(ProvisioningFailed)] == [
        (1, "deadline"),
        (2, "deadline"),
    ]


async def test_a_wait_ends_at_the_deadline(replica: Replica, project: Project) -> None:
    """A chunk is never put off beyond its run's deadline."""
    await project.plan_only()
    deadline = datetime.now(UTC) + timedelta(seconds=2)
    await replica.run("UPDATE chunks SET deadline_at = :deadline", deadline=deadline)
    replica.clouds.set_maintenance("here", True)
    await replica.hear(next(map_events(replica.tickets())))
    ((not_before,),) = await replica.run("SELECT not_before FROM chunks")
    assert not_before <= deadline + timedelta(seconds=0.1)


async def test_two_replicas_share_one_big_project(make_replica: Any, simulator: RunningSimulator) -> None:
    """Each takes chunks as it has room, and nobody is done twice."""
    replicas = [make_replica(), make_replica()]
    project = await linked_project(replicas[0])
    await simulator.behave(latency_ms={"user": 20})
    await project.start(users=30)
    tickets = list(map_events(replicas[0].tickets()))
    await asyncio.gather(*(_work(replicas[number % 2], ticket) for number, ticket in enumerate(tickets)))
    users = [{event.user_id for event in replica.told(UserSynced)} for replica in replicas]
    assert users[0] | users[1] == set(range(1, 31))
    assert not users[0] & users[1]
    assert users[1]
    assert (await simulator.stats())["duplicate_effects"] == 0


async def test_a_ticket_that_came_twice_costs_nothing_of_what_was_done(replica: Replica, project: Project) -> None:
    """The second delivery takes another chunk; when the message proves handled, its results still count."""
    await project.plan_only(users=6)
    first, _ = map_events(replica.tickets())
    for _ in range(2):
        await replica.hear(first, message_id="018f0000-0000-7000-8000-000000000001")
    assert {event.user_id for event in replica.told(UserSynced)} == set(range(1, 7))


async def test_results_are_recorded_as_they_come(replica: Replica, project: Project, hold: Any) -> None:
    """While one user hangs, the others of the chunk are told of already."""
    await project.plan_only(users=3)
    held = hold(replica, 2)
    busy = asyncio.create_task(replica.hear(next(map_events(replica.tickets()))))
    await _told(replica, 2)
    assert [order.user_id for order in await _left(replica)] == [2]
    held.set()
    await busy
    assert len(replica.told(UserSynced)) == 3


async def test_no_more_waits_to_be_recorded_than_may_be_under_way(make_replica: Any, hold: Any) -> None:
    """A kill repeats what is under way or unrecorded, so a chunk of many users is recorded in parts, however fast."""
    replica = make_replica(chunk_size=6, record_every=60, cloud_max_in_flight=2)
    for already in (0, 6):  # what is recorded once makes room once
        project = await linked_project(replica)
        await project.plan_only(users=6)
        held = hold(replica, 6)
        busy = asyncio.create_task(replica.hear(next(map_events(replica.tickets()))))
        await _told(replica, already + 2)  # those four that may be unrecorded are not waited for
        held.set()
        await busy
        assert len(replica.told(UserSynced)) == already + 6


async def test_a_bug_that_one_user_brings_out_stops_no_other(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It costs that user's tries and ends as a failure with code internal."""
    await project.plan_only(users=2)
    cloud = replica.clouds.open("here")
    sync = cloud.sync_user

    async def broken(project_id: str, change: Any) -> Any:
        if change.user_id == 2:
            raise KeyError("surprise")
        return await sync(project_id, change)

    monkeypatch.setattr(cloud, "sync_user", broken)
    await replica.work_off()
    (failure,) = replica.told(ProvisioningFailed)
    assert (failure.user_id, failure.code, failure.tries) == (2, "internal", 3)
    assert "surprise" not in failure.message
    assert [event.user_id for event in replica.told(UserSynced)] == [1]


async def test_a_region_that_is_configured_no_more_fails_its_users(replica: Replica, project: Project) -> None:
    """Between plan and chunk a person may have taken it out; the run ends, and says why."""
    await project.plan_only()
    await replica.run("UPDATE chunks SET region = 'gone'")
    await replica.work_off()
    assert [each.code for each in replica.told(ProvisioningFailed)] == ["unknown_region"] * 2


async def _told(replica: Replica, users: int) -> None:
    """Returns once so many are synced."""
    while len(replica.told(UserSynced)) < users:  # noqa: ASYNC110 - told by a commit, which sets no event
        await asyncio.sleep(0.01)


async def _left(replica: Replica) -> Any:
    rows = await replica.run("SELECT orders::text FROM chunks")
    return [order for row in rows for order in orders.from_json(row.orders)]


async def _work(replica: Replica, ticket: Any) -> None:
    await replica.syncer.capacity.room("here", ticket.tenant_id)
    await replica.hear(ticket)
