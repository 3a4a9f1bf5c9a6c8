"""What link-provisioner does with each event; the table is at the bottom."""

from collections.abc import Sequence
from datetime import timedelta
from functools import partial

from backbone.database import Transaction
from backbone.handlers import CallingOut, Handler, Handlers, Work
from backbone.retries import GiveUp, Wait
from clouds.errors import waits_for
from contracts.events import (
    AccessRevoked,
    Event,
    ProjectCreated,
    ProvisioningCancelled,
    ProvisioningDelayed,
    ProvisioningRequested,
    RemovalRequested,
    SuspensionRequested,
)

from link_provisioner import links
from link_provisioner.links import Asked, Goal, State
from link_provisioner.provisioner import Provisioner, tell


async def ensure_link(event: ProjectCreated | ProvisioningRequested, *, work: Work, provisioner: Provisioner) -> None:
    """Brings the cloud project into being, enabled; one that is there already costs a look."""
    await provisioner.pursue(Asked(event, Goal.ENSURE), work)


async def want_suspension(event: SuspensionRequested, *, tx: Transaction) -> None:
    """Notes the run; the link's turn comes once nobody's access is left."""
    await links.want(tx, [(event, Goal.SUSPEND)])


async def want_removal(event: RemovalRequested, *, tx: Transaction) -> None:
    """Notes the run; the link's turn comes once nobody's access is left."""
    await links.want(tx, [(event, Goal.REMOVE)])


async def cancel_run(event: ProvisioningCancelled, *, tx: Transaction) -> None:
    """Takes the right to write from work of the runs before."""
    await links.want(tx, [(event, Goal.CANCEL)])


async def finish_access_end(event: AccessRevoked, *, work: Work, provisioner: Provisioner) -> None:
    """Disables or deletes the cloud project, as the run's request said; waits for that where it comes later."""
    await provisioner.pursue(Asked(event), work)


async def report_failure(event: Event, failure: GiveUp, *, tx: Transaction) -> Sequence[Event]:
    """Ends the run as failed, unless a newer run or another worker has it."""
    link = await links.lock(tx, event.identifier)
    if link is None or link.run != event.run or link.state is not State.PENDING or link.leased_for > 0:
        return []
    fact = link.failed(failure.code, failure.message, retryable=failure.retryable, tries=failure.tries)
    await links.settle(tx, [(link, fact)])
    tx.committed.append(partial(tell, link, fact))
    return [fact]


async def report_delay(event: Event, wait: Wait, *, tx: Transaction) -> Sequence[Event]:
    """Says what the run waits for, once for each wait and not for each look whether it is over."""
    code, message = waits_for(wait.error)
    goal = await links.tell_delay(tx, event, f"{code} {wait.attempt}")
    if goal is None:
        return []
    until = await tx.time() + timedelta(seconds=wait.delay)
    return [
        ProvisioningDelayed(
            identifier=event.identifier,
            run=event.run,
            step=goal.step,
            code=code,
            message=message,
            until=until,
            attempt=wait.attempt,
            tries=wait.tries,
        )
    ]


_CALLING_OUT = partial(CallingOut, on_give_up=report_failure, on_wait=report_delay)

HANDLERS: Handlers = {
    ProjectCreated: _CALLING_OUT(ensure_link),
    ProvisioningRequested: _CALLING_OUT(ensure_link),
    ProvisioningCancelled: Handler(cancel_run),
    SuspensionRequested: Handler(want_suspension),
    RemovalRequested: Handler(want_removal),
    AccessRevoked: _CALLING_OUT(finish_access_end),
}
