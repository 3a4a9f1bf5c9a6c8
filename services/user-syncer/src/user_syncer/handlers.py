"""What user-syncer does with each event; the table is at the bottom."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from backbone.database import Transaction
from backbone.envelope import Envelope
from backbone.handlers import CallingOut, Folding, Handlers, Work
from backbone.retries import GiveUp, Snooze, Wait
from clouds.errors import waits_for
from contracts.events import (
    Event,
    LinkEnsured,
    ProjectCreated,
    ProvisioningCancelled,
    ProvisioningDelayed,
    ProvisioningRequested,
    RemovalRequested,
    SuspensionRequested,
)
from contracts.status import Kind

from user_syncer import runs
from user_syncer.capacity import AWAY
from user_syncer.orders import step_of
from user_syncer.planner import Planner, failed
from user_syncer.syncing import Syncer
from user_syncer.tickets import ChunkPlanned


async def remember_runs(envelopes: Sequence[Envelope], *, tx: Transaction) -> None:
    """Keeps what runs ask for until their links are there, and ends all work of older runs."""
    await runs.remember(tx, [envelope.data for envelope in envelopes])


async def plan_users(event: LinkEnsured, *, work: Work, planner: Planner) -> None:
    """Compares the cloud with what the run asks for, reports who is right already, and makes chunks of the rest."""
    run = await planner.find(event)
    if run is not None and run.kind is Kind.PROVISION:
        await planner.go_on(run, event.provider_project_id, work)


async def end_access(event: SuspensionRequested | RemovalRequested, *, work: Work, planner: Planner) -> None:
    """Takes everybody's access, once nobody can write for an older run any more."""
    async with work.begin() as tx:
        await runs.remember(tx, [event])
    run = await planner.find(event)
    if run is not None:
        await planner.go_on(run, run.provider_project_id, work)


async def sync_chunk(event: ChunkPlanned, *, work: Work, syncer: Syncer) -> None:
    """Takes the fairest chunk that there is, and carries it out.

    Raises Snooze where this process has enough in hand, so that plans of other tenants behind this ticket go on; and
    where a chunk is there that it cannot take, so that no chunk is left without a ticket.
    """
    if not await syncer.capacity.room(event.region, event.tenant_id):
        syncer.capacity.send_away(event.region)
        raise Snooze("enough is in hand in this region", AWAY)
    await syncer.serve(event, work)


async def report_failure(event: Event, failure: GiveUp, *, tx: Transaction) -> Sequence[Event]:
    """Ends a run that could not be planned as failed, unless a newer one has begun."""
    run = await runs.read(tx, event.identifier)
    if run is None or run.number != event.run:
        return []
    fact = failed(run, failure)
    return [fact] if await runs.fail(tx, fact) else []


async def report_delay(event: Event, wait: Wait, *, tx: Transaction) -> Sequence[Event]:
    """Says what the plan waits for."""
    run = await runs.read(tx, event.identifier)
    if run is None or run.number != event.run:
        return []
    code, message = waits_for(wait.error)
    return [
        ProvisioningDelayed(
            identifier=run.identifier,
            run=run.number,
            step=step_of(run.kind),
            code=code,
            message=message,
            until=await tx.time() + timedelta(seconds=wait.delay),
            attempt=wait.attempt,
            tries=wait.tries,
        )
    ]


_REMEMBERING = Folding(remember_runs)
_PLANNING = partial(CallingOut, on_give_up=report_failure, on_wait=report_delay)

HANDLERS: Handlers = {
    ProjectCreated: _REMEMBERING,
    ProvisioningRequested: _REMEMBERING,
    ProvisioningCancelled: _REMEMBERING,
    LinkEnsured: _PLANNING(plan_users),
    ChunkPlanned: CallingOut(sync_chunk),
    SuspensionRequested: _PLANNING(end_access),
    RemovalRequested: _PLANNING(end_access),
}
