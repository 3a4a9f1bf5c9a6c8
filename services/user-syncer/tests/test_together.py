"""Deliveries that share a transaction: each keeps what it would have alone, and pays for no other's fault."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from typing import Any

import pytest
from backbone.database import Transaction
from backbone.group_commit import Part
from backbone.leases import LeaseLost
from backbone.testing import LOCK_WAITS
from cloud_simulator.testing import RunningSimulator
from clouds.port import Capabilities, KeyChange, UserChange
from contracts.events import ProjectCreated, ProvisioningRequested, SuspensionRequested
from structlog.contextvars import bound_contextvars, merge_contextvars
from structlog.testing import capture_logs
from user_syncer import chunks, members, planning, runs
from user_syncer.model import Chunk, Plan, Report, Success
from user_syncer.orders import Order
from user_syncer.planner import AlreadyPlanned, Planned
from user_syncer.records import Record
from user_syncer.rounds import Round
from user_syncer.testing import Project, Replica, linked_project, map_events


async def test_a_run_that_is_told_of_twice_at_once_is_planned_once(replica: Replica, project: Project) -> None:
    """One of two deliveries behind another project's finds it planned, and makes no second set of tickets."""
    other = await linked_project(replica)
    for each in (project, other):
        await replica.hear(each.command(ProjectCreated, users=9))
    replica.fill()
    await asyncio.gather(*(replica.hear(each.linked()) for each in (other, project, project)))
    told = [event for event in map_events(replica.tickets()) if event.identifier == project.identifier]
    assert [event.users for event in told] == [3, 3, 3]


async def test_what_was_lost_is_refused_and_the_rest_recorded(replica: Replica, project: Project) -> None:
    """Of three chunks that are recorded together one belongs to somebody else by now: nothing of it is written."""
    replica.fill()
    await project.start(users=9)
    async with replica.database.transaction() as tx:
        taken = await chunks.take(tx, 3, 60)
    await replica.run("UPDATE chunks SET fence = fence + 1 WHERE id = :id", id=taken[1].id)
    ended = await asyncio.gather(*(replica.syncer.records(_done(chunk)) for chunk in taken), return_exceptions=True)
    assert [type(end) for end in ended] == [type(None), LeaseLost, type(None)]
    recorded = set(await replica.members(project.identifier))
    assert recorded == {order.user_id for chunk in (taken[0], taken[2]) for order in chunk.orders}
    assert [row.id for row in await replica.run("SELECT id FROM chunks")] == [taken[1].id]


def _done(chunk: Chunk) -> Record:
    round_ = Round(chunk, Capabilities())
    round_.report.successes += [Success(order.user_id, order.email, "member", None) for order in chunk.orders]
    return Record(chunk, round_, (), (), is_last=True, settings=None)  # type: ignore[arg-type] # asked of what waits only


@pytest.mark.parametrize("order", [(1, 2), (2, 1)])
async def test_of_a_projects_commands_the_newest_is_kept(
    replica: Replica, project: Project, order: tuple[int, int]
) -> None:
    """In whichever order they stand in the group."""
    commands = {
        1: project.command(ProjectCreated),
        2: project.command(ProvisioningRequested, run=2, reason="retry"),
    }
    async with replica.database.transaction() as tx:
        await runs.remember(tx, [commands[number] for number in order])
        run = await runs.read(tx, project.identifier)
    assert run is not None
    assert run.number == 2


async def test_plans_stand_in_line_by_tenant(replica: Replica, project: Project) -> None:
    """So that nobody's waits for all of another tenant's flood."""
    other = await linked_project(replica, tenant_id=6)
    for each in (project, other):
        await replica.hear(each.command())
    async with AsyncExitStack() as places, asyncio.timeout(30):
        for _ in range(replica.settings.reading_places):
            await places.enter_async_context(replica.planner.readings.place("here", None))
        plans = [asyncio.create_task(replica.hear(each.linked())) for each in (project, other)]
        line = replica.planner.readings._lines["here"]
        while len(line) < 2:  # noqa: ASYNC110 - until both have come
            await asyncio.sleep(0)
        assert set(line._turns) == {project.tenant_id, other.tenant_id}
    await asyncio.gather(*plans)
    assert await replica.run("SELECT FROM runs WHERE planned_at IS NULL") == []


async def test_every_ticket_says_whose_it_is(replica: Replica, project: Project) -> None:
    """Of a plan, of a chunk that waits, and the sweep's: by the tenant there is room for it or not."""
    replica.fill()
    await project.start()
    replica.empty()
    replica.clouds.set_maintenance("here", True)
    (planned,) = map_events(replica.tickets())
    await replica.hear(planned)
    (later,) = map_events(replica.tickets())
    await replica.run("UPDATE chunks SET not_before = now(), ticketed_at = now() - interval '1 day'")
    await replica.sweep.renew_tickets()
    (renewed,) = map_events(replica.tickets())
    assert [each.tenant_id for each in (planned, later, renewed)] == [project.tenant_id] * 3


@pytest.mark.parametrize("empty_first", [True, False])
async def test_of_two_plans_of_a_run_in_one_transaction_one_is_kept_whole(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch, empty_first: bool
) -> None:
    """Two deliveries may have read the cloud at different moments: chunks and reports are of the same reading. Which of
    two the database stores is its own affair, so it is given one.
    """
    await replica.hear(project.command(users=1))
    run = await runs.read(replica.database, project.identifier)
    assert run is not None
    order = Order(UserChange(1, "user1@example.org", create_user=True), "user1@example.org")
    plans = [Plan(run, project.provider_project_id, pieces) for pieces in ((), ((order,),))]
    parts: list[Part[Planned, Chunk]] = [Part(Planned(plan, (), takes=False, waits=False), None) for plan in plans]
    if not empty_first:
        parts.reverse()
    asked: list[Plan] = []
    store = chunks.plan

    async def noted(tx: Transaction, plans: Sequence[Plan]) -> set[tuple[str, int]]:
        asked.extend(plans)
        return await store(tx, plans)

    monkeypatch.setattr(chunks, "plan", noted)
    async with replica.database.transaction() as tx:
        await replica.planner._write_plans(tx, parts)
    assert asked == [parts[0].item.plan]
    assert (parts[0].error, type(parts[1].error)) == (None, AlreadyPlanned)
    assert len(await replica.run("SELECT FROM chunks")) == len(parts[0].item.plan.pieces)


async def test_users_stand_in_line_by_tenant(replica: Replica, project: Project) -> None:
    """So that they take turns with those of another tenant's large chunk."""
    async with AsyncExitStack() as places, asyncio.timeout(30):
        for _ in range(replica.settings.cloud.in_flight_here):
            replica.capacity.add("there", 6, 1)
            await replica.capacity.stand("there", 6)
            places.callback(replica.capacity.leave, "there", 6)
        line = replica.capacity._lines["there"]
        replica.capacity._lines["here"] = line
        started = asyncio.create_task(project.start(users=2))
        while len(line) < 2:  # noqa: ASYNC110 - until both users have come
            await asyncio.sleep(0)
        assert set(line._turns) == {project.tenant_id}
    await started


@pytest.mark.parametrize("by_ticket", [False, True])
async def test_a_tenant_does_not_wait_for_a_region_that_another_fills(
    replica: Replica, project: Project, by_ticket: bool
) -> None:
    """Neither with its plan nor with a ticket."""
    if by_ticket:
        replica.fill()
        await project.start()
        replica.empty()
    for other in (6, None):
        replica.capacity.add("here", other, 1000)
    if by_ticket:
        (ticket,) = map_events(replica.tickets())
        await replica.hear(ticket)
    else:
        await project.start()
    assert {member.state for member in (await replica.members(project.identifier)).values()} == {"synced"}


STRAY = KeyChange(strays=("AKIASTRAY",))


@pytest.mark.parametrize("sweeps", [False, True])
async def test_a_newer_run_stops_chunks_that_are_stored_while_it_comes(
    make_replica: Callable[[], Replica], sweeps: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It waits for the plan's or the sweep's commit, and sees its chunks then: else they would give access after it
    was told that nobody has any.
    """
    replica, other = make_replica(), make_replica()
    project = await linked_project(replica)
    replica.fill()
    await replica.hear(project.command())
    if sweeps:
        await replica.hear(project.linked())
        await replica.run("DELETE FROM chunks")
        monkeypatch.setattr(planning, "stray_orders", lambda *_: (Order(UserChange(1, "x", "x", keys=STRAY), "x"),))
    written, go_on = asyncio.Event(), asyncio.Event()

    async def slowly(tx: Transaction, *messages: Any) -> None:
        await store(tx, *messages)
        written.set()
        await go_on.wait()

    store = Transaction.store_outgoing
    monkeypatch.setattr(Transaction, "store_outgoing", slowly)
    run = await runs.read(replica.database, project.identifier)
    assert run is not None
    looks = replica.sweep._look
    work = looks(run, project.provider_project_id, ()) if sweeps else replica.hear(project.linked())
    storing = asyncio.create_task(work)
    await written.wait()
    monkeypatch.setattr(Transaction, "store_outgoing", store)
    suspending = asyncio.create_task(other.hear(project.command(SuspensionRequested, run=2)))
    while not (suspending.done() or await other.run(LOCK_WAITS)):  # noqa: ASYNC110 - the database's state
        await asyncio.sleep(0.01)
    go_on.set()
    await asyncio.gather(storing, suspending)
    assert [row.superseded for row in await replica.run("SELECT superseded FROM chunks WHERE run = 1")] == [True]


async def test_the_sweep_and_a_plan_wait_for_each_other_in_no_ring(
    make_replica: Callable[[], Replica], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both lock the run before its members: a plan that lost would be made again, with all that share its commit."""
    replica, other = make_replica(), make_replica()
    project = await linked_project(replica)
    await project.provision(users=2)
    await replica.run("UPDATE member_records SET may_have_issued = true")
    await other.hear(project.command(ProvisioningRequested, run=2, reason="retry"))
    run = await runs.read(replica.database, project.identifier)
    unsure = await members.uncertain(replica.database, project.identifier, 0)
    assert run is not None
    assert len(unsure) == 2
    held, go_on = asyncio.Event(), asyncio.Event()
    record = members.record

    async def slowly(tx: Transaction, reports: Sequence[Report]) -> None:
        await record(tx, reports)
        if any(each.certain for each in reports):
            held.set()
            await go_on.wait()

    monkeypatch.setattr(members, "record", slowly)
    sweeping = asyncio.create_task(replica.sweep._look(run, project.provider_project_id, unsure))
    await held.wait()
    planning_again = asyncio.create_task(other.hear(project.linked(2)))
    while not (planning_again.done() or await replica.run(LOCK_WAITS)):  # noqa: ASYNC110 - the database's state
        await asyncio.sleep(0.01)
    go_on.set()
    await asyncio.gather(sweeping, planning_again)


async def test_what_is_logged_of_a_chunk_is_of_its_own_run(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """A delivery may take another project's chunk; whoever looks for a run by its correlation finds its failures."""
    await simulator.behave(fail_emails=["user2@example.org"])
    with bound_contextvars(correlation="OTHER/7"), capture_logs(processors=[merge_contextvars]) as lines:
        await project.provision(users=2)
    (failure,) = (line for line in lines if line["event"] == "user.sync_failed")
    assert failure["correlation"] == f"{project.identifier}/1"
