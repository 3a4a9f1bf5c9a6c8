"""Tickets, and plans that wait for room instead: no chunk is left without somebody who stands for it."""

import asyncio
import uuid
from collections.abc import Callable
from typing import Any

import pytest
from backbone.envelope import Message
from backbone.group_commit import AlreadyHandled, GroupCommit, Item
from backbone.handlers import Work
from backbone.retries import Snooze
from contracts.events import ProjectCreated, UserSynced
from user_syncer import planner
from user_syncer.capacity import WAITERS
from user_syncer.model import Chunk
from user_syncer.testing import Project, Replica, linked_project, map_events


async def test_a_ticket_whose_chunk_is_held_for_a_moment_comes_again(replica: Replica, project: Project) -> None:
    """It isn't spent, so the chunk needn't wait for the sweep; once the row is free it is carried out."""
    replica.fill()
    await project.start(users=2)
    replica.empty()
    (ticket,) = map_events(replica.tickets())
    async with replica.database.transaction() as tx:
        await tx.execute("SELECT FROM chunks FOR UPDATE")
        with pytest.raises(Snooze):
            await replica.hear(ticket)
    await replica.hear(ticket)
    assert {member.state for member in (await replica.members(project.identifier)).values()} == {"synced"}


async def test_a_ticket_whose_chunk_another_took_waits_for_that_ones(replica: Replica, project: Project) -> None:
    """Tickets take the fairest chunk of any region. The last one may find only a chunk whose region is full now: were
    it spent, that chunk would wait for the sweep.
    """
    replica.fill()
    await project.start(users=2)
    replica.empty()
    (ticket,) = map_events(replica.tickets())
    in_hand = replica.settings.cloud.in_flight_here
    replica.capacity.add("here", project.tenant_id, in_hand)
    with pytest.raises(Snooze):
        await replica.hear(ticket.model_copy(update={"region": "there"}))
    for _ in range(in_hand):
        await replica.capacity.stand("here", project.tenant_id)
        replica.capacity.leave("here", project.tenant_id)
    replica.capacity.recorded("here", in_hand)
    await replica.hear(ticket.model_copy(update={"region": "there"}))
    assert {member.state for member in (await replica.members(project.identifier)).values()} == {"synced"}


@pytest.mark.parametrize("region", ["here", "there"])
async def test_a_chunk_whose_ticket_could_not_take_it_is_carried_out_with_the_next(
    replica: Replica, project: Project, region: str
) -> None:
    """Its row was held, or its region full and the ticket another region's: it doesn't wait for the ticket's return."""
    other = await linked_project(replica)
    replica.fill()
    await project.start(users=2)
    (ticket,) = map_events(replica.tickets())
    if region == "here":
        replica.empty()
    async with replica.database.transaction() as tx:
        if region == "here":
            await tx.execute("SELECT FROM chunks FOR UPDATE")
        work = Work(replica.database, str(uuid.uuid4()), attempt=1)
        with replica.capacity.reserved("here", 99, 0 if region == "here" else 1), pytest.raises(Snooze):
            await replica.syncer.serve(ticket.model_copy(update={"region": region}), work)
    replica.empty()
    await other.start(users=1)
    for each in (project, other):
        assert {member.state for member in (await replica.members(each.identifier)).values()} == {"synced"}


async def test_a_chunk_whose_ticket_is_away_is_carried_out_once_there_is_room(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were it left to its ticket, it would wait for two seconds beside an idle cloud. The ticket then finds nothing.
    The delivery by which both were carried out is claimed once.
    """
    other = await linked_project(replica)
    replica.fill()
    for each in (project, other):
        await each.start(users=2)
    away, ticket = map_events(replica.tickets())
    with pytest.raises(Snooze):
        await replica.hear(away)
    replica.empty()
    take, reserved = replica.syncer.take, []

    async def look(region: str) -> Chunk | None:
        reserved.append(replica.capacity._in_hand[region].total())
        return await take(region)

    finish_with, claimed = Work.finish_with, []

    async def claim(work: Work, group: GroupCommit[Item, Any], item: Item) -> None:
        claimed.append(item)
        await finish_with(work, group, item)

    monkeypatch.setattr(replica.syncer, "take", look)
    monkeypatch.setattr(Work, "finish_with", claim)
    await replica.hear(ticket)
    assert len(claimed) == 1
    assert reserved == [2, 2, 2]  # lest all who end a chunk at the same moment take one for the same room
    for each in (project, other):
        assert {member.state for member in (await replica.members(each.identifier)).values()} == {"synced"}
    await replica.hear(away)
    assert len(replica.told(UserSynced)) == 4


async def test_a_plan_that_gets_room_in_a_moment_needs_no_ticket(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its own delivery carries out a chunk, and only the others have tickets: a message less for each project."""
    _wait_for_long(replica, monkeypatch)
    replica.fill()
    await replica.hear(project.command(users=6))
    planning = asyncio.create_task(replica.hear(project.linked()))
    await _until(lambda: bool(replica.capacity._waiting["here"]))
    (ticket,) = replica.tickets()  # of two chunks
    await replica.run("SELECT 1")  # a moment passes
    replica.empty()
    replica.capacity._wake("here")
    await planning
    assert replica.tickets() == []
    states = [member.state for member in (await replica.members(project.identifier)).values()]
    assert states.count("synced") == 3
    await replica.hear(*map_events([ticket]))
    assert len(replica.told(UserSynced)) == 6


async def test_a_plan_without_room_sends_its_ticket_for_other_replicas(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is done with, and a repeat of its delivery sends no other."""
    monkeypatch.setattr(planner, "MOMENT", 0.0)
    replica.fill()
    await replica.hear(project.command())
    delivery = str(uuid.uuid4())
    await replica.hear(project.linked(), message_id=delivery)
    assert len(replica.tickets()) == 1
    with pytest.raises(AlreadyHandled):
        await replica.hear(project.linked(), message_id=delivery)
    assert replica.tickets() == []


async def test_a_plan_where_many_wait_for_room_sends_all_tickets_with_it(replica: Replica, project: Project) -> None:
    """It doesn't wait behind them, and one transaction is enough."""
    commits: list[list[Message]] = []
    replica.database.on_commit = commits.append
    replica.fill()
    await replica.hear(project.command(users=6))
    others = [asyncio.create_task(replica.capacity.room("here", 1)) for _ in range(WAITERS)]
    await _until(lambda: replica.capacity.is_crowded("here"))
    await replica.hear(project.linked())
    assert [len(messages) for messages in commits] == [2]
    for each in others:
        each.cancel()
    await asyncio.gather(*others, return_exceptions=True)


async def test_a_plan_that_dies_while_it_waits_for_room_is_told_of_by_its_repeat(
    replica: Replica, project: Project
) -> None:
    """The plan is stored and its delivery is not done with, so the chunk gets its ticket when it comes again."""
    replica.fill()
    await replica.hear(project.command())
    delivery = str(uuid.uuid4())
    planning = asyncio.create_task(replica.hear(project.linked(), message_id=delivery))
    await _until(lambda: bool(replica.capacity._waiting["here"]))
    planning.cancel()
    await asyncio.gather(planning, return_exceptions=True)
    assert replica.tickets() == []
    await replica.hear(project.linked(), message_id=delivery)
    assert len(replica.tickets()) == 1


async def test_a_plan_that_dies_while_another_has_carried_out_its_chunk_leaves_no_chunk_without_a_ticket(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever waits takes the fairest chunk, so each delivery stands for one of them, not for its own. Were the repeat
    to look for its own alone, the other's chunk would wait a minute for the sweep.
    """
    other = await linked_project(replica)
    _wait_for_long(replica, monkeypatch)
    replica.fill()
    for each in (project, other):
        await replica.hear(each.command())
    delivery = str(uuid.uuid4())
    living = asyncio.create_task(replica.hear(project.linked()))
    await _until(lambda: len(replica.capacity._waiting["here"].get(5, ())) == 1)
    dying = asyncio.create_task(replica.hear(other.linked(), message_id=delivery))
    await _until(lambda: len(replica.capacity._waiting["here"].get(5, ())) == 2)
    await replica.run("UPDATE chunks SET turn = turn + 9 WHERE identifier = :late", late=project.identifier)
    dying.cancel()
    await asyncio.gather(dying, return_exceptions=True)
    replica.empty()
    replica.capacity._wake("here")
    await living
    assert [event.identifier for event in replica.told(UserSynced)] == [other.identifier] * 2
    await replica.hear(other.linked(), message_id=delivery)
    await replica.work_off()
    assert {member.state for member in (await replica.members(project.identifier)).values()} == {"synced"}


async def test_a_plan_that_got_room_and_finds_its_row_held_sends_its_ticket(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a ticket would come again; the plan's own delivery has nothing left to do."""
    _wait_for_long(replica, monkeypatch)
    replica.fill()
    await replica.hear(project.command())
    planning = asyncio.create_task(replica.hear(project.linked()))
    await _until(lambda: bool(replica.capacity._waiting["here"]))
    async with replica.database.transaction() as tx:
        await tx.execute("SELECT FROM chunks FOR UPDATE")
        replica.empty()
        replica.capacity._wake("here")
        await planning
    await replica.work_off()
    assert len(replica.told(UserSynced)) == 2


async def test_plans_made_at_once_take_no_more_chunks_than_there_is_room_for(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first reserves the room, and the other's chunk gets a ticket."""
    monkeypatch.setattr(planner, "MOMENT", 0.0)
    other = await linked_project(replica)
    replica.capacity._full = 1
    taken, end = [], asyncio.Event()

    async def hold(chunk: Chunk, _: Work) -> None:
        replica.capacity.add(chunk.region, chunk.tenant_id, len(chunk.orders))
        taken.append(chunk)
        await end.wait()

    monkeypatch.setattr(replica.syncer, "carry_out", hold)
    for each in (project, other):
        await replica.hear(each.command())
    plans = [asyncio.create_task(replica.hear(each.linked())) for each in (project, other)]
    await asyncio.wait(plans, timeout=5, return_when=asyncio.FIRST_COMPLETED)
    assert (len(taken), len(replica.tickets())) == (1, 1)
    end.set()
    await asyncio.gather(*plans)


async def test_a_plan_that_finds_every_row_held_tells_of_all_its_chunks(replica: Replica, project: Project) -> None:
    """There was room, and yet others hold what is nearest: no chunk of its own is left without a ticket."""
    other = await linked_project(replica)
    replica.fill()
    await other.start(users=3)
    replica.empty()
    await replica.run(
        "INSERT INTO chunks (id, identifier, run, kind, region, provider_project_id, deadline_at, turn, orders)"
        " SELECT id || n, identifier, run, kind, region, provider_project_id, deadline_at, turn, orders"
        " FROM chunks, generate_series(1, 150) AS n"
    )
    await replica.hear(project.command(ProjectCreated, users=6))
    replica.tickets()
    async with replica.database.transaction() as tx:
        await tx.execute("SELECT FROM chunks FOR UPDATE")
        await replica.hear(project.linked())
    assert [event.users for event in map_events(replica.tickets())] == [3, 3]


def _wait_for_long(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan's moment doesn't end by itself, however slow the machine."""
    monkeypatch.setattr(planner, "MOMENT", 60.0)
    monkeypatch.setattr(replica.capacity, "_patience", 60.0)


async def _until(condition: Callable[[], bool]) -> None:
    while not condition():  # noqa: ASYNC110 - of tasks that tell nobody how far they are
        await asyncio.sleep(0)
