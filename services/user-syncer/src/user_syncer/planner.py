"""Makes a run's plan: one reading of the cloud, one transaction, and at once the first chunk where there is room."""

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, NamedTuple

import structlog
from backbone.database import Database, Transaction
from backbone.group_commit import GroupCommit, Part, Together
from backbone.handlers import Work
from backbone.retries import GiveUp, RunUnknown, Snooze
from backbone.shares import Shares
from clouds.port import CloudProvider, Snapshot
from clouds.providers import Clouds
from clouds.reconcile import names_to_read
from contracts.events import AccessRevoked, Event, ProvisioningFailed, UserRevoked, UserSynced
from contracts.status import Kind

from user_syncer import chunks, members, metrics, planning, runs, tickets
from user_syncer.model import Chunk, Member, Plan, Report, Run, Success
from user_syncer.orders import Order, overdue_after, pieces, step_of
from user_syncer.syncing import Syncer
from user_syncer.tickets import ChunkPlanned

log = structlog.get_logger()

GLANCES = (0.02, 0.1, 0.3, 0.6)
"""Seconds between looks for a request that travels beside its LinkEnsured: it is a moment late at most, and in a retry
rung a short wait stands behind longer ones."""

MOMENT = 0.25
"""Seconds for which a plan waits for room before it sends a ticket, which would be two messages in five under load. Not
longer, for other replicas hear of its chunk by that ticket."""


class Planned(NamedTuple):
    """A plan to be stored, with the users who are right already. It ``takes`` a chunk at once where there is room, or
    ``waits`` for room where few do: in both cases it stands for one chunk, which needs no ticket.
    """

    plan: Plan
    right: Sequence[Order]
    takes: bool
    waits: bool


class AlreadyPlanned(Exception):
    """Another delivery planned the run first, or a newer run has begun; nothing of this plan is kept."""


@dataclass
class Planner:
    """``readings`` are the places of those who read one region at once; ``chunk_size`` is in users."""

    database: Database
    clouds: Clouds
    syncer: Syncer
    readings: Shares
    chunk_size: int
    _known: Together[str, Run | None] = field(init=False)
    _plans: GroupCommit[Planned, Chunk] = field(init=False)
    _tickets: GroupCommit[ChunkPlanned, None] = field(init=False)

    def __post_init__(self) -> None:
        self._known = Together(partial(runs.read_all, self.database))
        self._plans = GroupCommit(self.database, self._write_plans)
        self._tickets = GroupCommit(self.database, _write_tickets)

    async def find(self, event: Event) -> Run | None:
        """The event's run; ``None`` where it is over. Raises Snooze while it isn't known yet."""
        for pause in (*GLANCES, None):
            run = await self._known(event.identifier)
            if run is not None and run.number >= event.run:
                return run if run.number == event.run else None
            if pause is not None:
                await asyncio.sleep(pause)
        raise RunUnknown("the run's request has not come yet", 1)

    async def go_on(self, run: Run, project_id: str | None, work: Work) -> None:
        """Plans the run, or tells again what came of it. Raises Snooze, and CloudError where the cloud refuses."""
        if run.planned or run.failure is not None:
            await self._tell_again(run, work)
            return
        if run.older_leases:
            raise Snooze("somebody may still write for an older run", 2)
        if run.overdue:
            await self._fail(run, overdue_after(work.attempt), work)
            return
        orders = await self._compare(run, project_id)
        try:
            await self._store(run, project_id, orders, work)
        except AlreadyPlanned:
            return

    async def _compare(self, run: Run, project_id: str | None) -> tuple[Order, ...]:
        cloud = self.clouds.open(run.region)
        if run.kind is Kind.SUSPEND and cloud.capabilities.can_disable_project:
            return ()  # a disabled project lets nobody in: grants and keys stay for when it is resumed
        known: Mapping[int, Member] = {}
        if run.has_members:
            known = await members.of_project(self.database, run.identifier)
        if run.provider_project_id not in (None, project_id):
            known = planning.voided(known)
        snapshot = planning.NOBODY
        if project_id is not None:
            snapshot = await self._read(cloud, run, project_id, known)
        return planning.orders_of(run, known, snapshot, cloud.capabilities)

    async def _read(self, cloud: CloudProvider, run: Run, project_id: str, known: Mapping[int, Member]) -> Snapshot:
        each_of = names_to_read((each.record for each in known.values()), cloud.capabilities, run.reread)
        async with self.readings.place(run.region, run.tenant_id):
            return await cloud.read_snapshot(run.spec, project_id, each_of)

    async def _store(self, run: Run, project_id: str | None, orders: tuple[Order, ...], work: Work) -> None:
        """Stores the plan, and carries out a chunk where there is room for one: the fairest, not always one's own."""
        wrong: list[Order] = []
        right: list[Order] = []
        for order in orders:
            (right if order.change.unchanged else wrong).append(order)
        parts = tuple(pieces(wrong, self.chunk_size))
        capacity = self.syncer.capacity
        takes = bool(parts) and capacity.has_room(run.region, run.tenant_id)
        waits = bool(parts) and not takes and not capacity.is_crowded(run.region)
        planned = Planned(Plan(run, project_id, parts), tuple(right), takes, waits)
        # A delivery that stands for a chunk is claimed with the chunk's end: should it die, it comes again.
        if takes:
            with capacity.reserved(run.region, run.tenant_id, len(parts[0])):
                chunk = await self._plans(planned)
            if chunk is not None:
                await self.syncer.carry_out(chunk, work)
        elif waits:
            await self._plans(planned)
            await self._wait_for_room(run.ticket(len(parts[0])), work)
        else:
            await work.finish_with(self._plans, planned)

    async def _wait_for_room(self, ticket: ChunkPlanned, work: Work) -> None:
        """Does what the ticket would; where that is not to be done soon, the ticket is sent."""
        with suppress(Snooze):  # as a ticket would come again: it is sent below
            if await self.syncer.capacity.room(ticket.region, ticket.tenant_id, patience=MOMENT):
                await self.syncer.serve(ticket, work)
                return
        await work.finish_with(self._tickets, ticket)

    async def _write_plans(self, tx: Transaction, parts: Sequence[Part[Planned, Chunk]]) -> None:
        first = {_key(part.item.plan.run): part for part in reversed(parts)}
        stored = await chunks.plan(tx, [part.item.plan for part in first.values()])
        for part in parts:
            key = _key(part.item.plan.run)
            if part is not first[key] or key not in stored:
                part.refuse(AlreadyPlanned(key))
        kept = [part for part in parts if part.error is None]
        await members.record(tx, [part.run(self._report, tx, part.item) for part in kept])
        takers = [part for part in kept if part.item.takes]
        if takers:
            taken = await self.syncer.take_on(tx, [part.item.plan.run.region for part in takers])
            for part, chunk in zip(takers, taken, strict=True):
                part.outcome = chunk
        for part in kept:
            untaken = part.item.plan.pieces[1 if part.outcome or part.item.waits else 0 :]
            part.run(_send, tx, [part.item.plan.run.ticket(len(piece)) for piece in untaken], tx.now)
            tx.committed.append(partial(part.run, _tell, part.item))

    def _report(self, tx: Transaction, planned: Planned) -> Report:
        """Those who have what was asked already."""
        run, unchanged = planned.plan.run, planned.right
        can = self.clouds.open(run.region).capabilities
        right = [order for order in unchanged if not order.revokes]
        gone = [order for order in unchanged if order.revokes]
        tx.emit(
            *(
                UserSynced(**_about(run), user_id=each.user_id, role=each.role, credential_id=each.change.keys.current)
                for each in right
            ),
            *(UserRevoked(**_about(run), user_id=each.user_id) for each in gone if not each.quiet),
        )
        if run.ends_access and not planned.plan.pieces:
            tx.emit(AccessRevoked(**_about(run)))
        return Report(
            run.identifier,
            run.number,
            [
                Success(each.user_id, each.email, can.cloud_role(each.role), each.change.provider_user_id)
                for each in right
            ],
            [(each.user_id, each.email) for each in gone],
        )

    async def _tell_again(self, run: Run, work: Work) -> None:
        """For a request that came again: what is recorded, and tickets for what nobody works on.

        One ticket at least: before it came again it may have stood for a chunk, whose own plan carried out this one's.
        """
        async with work.finish() as tx:
            if run.failure is not None:
                tx.emit(run.failure)
                return
            tx.emit(*await members.told(tx, run))
            _send(tx, await chunks.open_of(tx, run) or [run.ticket(users=1)], await tx.time())
            if run.ends_access and run.chunks_left == 0 and await runs.access_gone(tx, run.identifier, run.number):
                tx.emit(AccessRevoked(**_about(run)))

    async def _fail(self, run: Run, failure: GiveUp, work: Work) -> None:
        async with work.finish() as tx:
            fact = failed(run, failure)
            if await runs.fail(tx, fact):
                tx.emit(fact)


def failed(run: Run, failure: GiveUp) -> ProvisioningFailed:
    """The fact that ends a run that could not be planned; it goes to the error log with project and reason."""
    log.error(
        "run.planning_failed", identifier=run.identifier, run=run.number, code=failure.code, error=failure.message
    )
    return ProvisioningFailed(
        **_about(run),
        step=step_of(run.kind),
        code=failure.code,
        message=failure.message,
        retryable=failure.retryable,
        tries=failure.tries,
    )


def _key(run: Run) -> tuple[str, int]:
    return run.identifier, run.number


def _about(run: Run) -> dict[str, Any]:
    return {"identifier": run.identifier, "run": run.number}


def _tell(planned: Planned) -> None:
    """Metrics and log of a plan, once it is committed."""
    plan, unchanged = planned.plan, planned.right
    gone = sum(order.revokes for order in unchanged)
    for outcome, users in (("unchanged", len(unchanged) - gone), ("revoked", gone)):
        if users:
            metrics.USERS.labels(outcome).inc(users)
    users, parts = len(unchanged) + sum(map(len, plan.pieces)), len(plan.pieces)
    log.info("run.planned", identifier=plan.run.identifier, run=plan.run.number, users=users, chunks=parts)


async def _write_tickets(tx: Transaction, parts: Sequence[Part[ChunkPlanned, None]]) -> None:
    now = await tx.time()
    for part in parts:
        part.run(_send, tx, [part.item], now)


def _send(tx: Transaction, events: Sequence[ChunkPlanned], now: datetime) -> None:
    for event in events:
        tx.send(tickets.ticket(event, now))
