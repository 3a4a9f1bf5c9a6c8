"""Brings a cloud project to what its row wants: takes the lease, calls the cloud outside any transaction, settles."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial

import structlog
from backbone.database import Transaction
from backbone.failpoints import failpoint
from backbone.handlers import Work
from backbone.leases import LeaseKeeper, LeaseLost
from backbone.retries import Snooze
from clouds.errors import TimeoutUnknown, Transient
from clouds.port import CloudProvider, Guard, ProjectSpec
from clouds.providers import Clouds
from contracts.events import Event, LinkEnsured, LinkRemoved, LinkSuspended, ProvisioningFailed

from link_provisioner import links, metrics
from link_provisioner.links import Goal, Link, Settling
from link_provisioner.shares import Shares

log = structlog.get_logger()


@dataclass(frozen=True)
class Provisioner:
    """``timeout`` is the longest that one try may take, all its calls together, in seconds."""

    clouds: Clouds
    leases: LeaseKeeper
    shares: Shares
    timeout: float

    async def take(self, tx: Transaction, event: Event) -> Link | None:
        """The row that the event is about, and the lease on it where it is free."""
        return await links.take(tx, event.identifier, event.run, self.leases.seconds)

    async def pursue(self, link: Link | None, work: Work) -> None:
        """Does what a taken row wants and settles it; a settled one tells its fact again. ``None`` is nothing to do.

        Raises a CloudError where the cloud refused, and Snooze where the region has no hand free or the lease was lost
        on the way: the next look tells who has it, and drops the message where its run is over.
        """
        if link is None:
            return
        if link.fact is not None:
            async with work.finish() as tx:
                tx.emit(link.fact)
            return
        with self.leases.hold(link.identifier, link.fence, link.taken_at) as lease:
            try:
                fact: Settling | None = _overdue(link, work.attempt)
                if fact is None:
                    async with self.shares.place(link.region):
                        fact = await self._carry_out(link, lease.check)
                    failpoint("after_cloud_call")
                async with work.finish() as tx:
                    await settle(tx, link, fact)
                    tx.emit(fact)
            except LeaseLost as error:
                raise Snooze("the lease was lost", 1) from error
            except Exception:
                async with work.begin() as tx:
                    await links.release(tx, link)
                raise

    async def _carry_out(self, link: Link, may_write: Guard) -> Settling:
        cloud = self.clouds.open(link.region)
        try:
            async with asyncio.timeout(self.timeout):
                return await _CALLS[link.goal](link, cloud, may_write)
        except TimeoutError:
            raise TimeoutUnknown(f"The cloud took longer than {self.timeout:g} s.") from None


async def settle(tx: Transaction, link: Link, fact: Settling) -> None:
    """Records the fact; counts and logs it once that is committed. Raises LeaseLost."""
    await links.settle(tx, link, fact)
    about = {"identifier": link.identifier, "run": link.run, "region": link.region}
    if isinstance(fact, ProvisioningFailed):
        about |= {"step": fact.step, "code": fact.code, "error": fact.message, "tries": fact.tries}
        tx.committed.append(partial(log.error, "provisioning.failed", **about))
    else:
        tx.committed.append(partial(log.info, fact.routing_key, **about))
    outcome = fact.outcome if isinstance(fact, LinkEnsured) else fact.routing_key.rpartition(".")[2]
    tx.committed.append(metrics.LINKS.labels(outcome).inc)


async def _ensure(link: Link, cloud: CloudProvider, may_write: Guard) -> LinkEnsured:
    project = await cloud.ensure_project(_spec(link), may_write)
    return LinkEnsured(
        identifier=link.identifier,
        run=link.run,
        provider=link.provider,
        region=link.region,
        provider_project_id=project.id,
        outcome="unchanged" if project.id == link.provider_project_id else project.outcome,
        calls=project.calls,
    )


async def _suspend(link: Link, cloud: CloudProvider, may_write: Guard) -> LinkSuspended:
    """Where the cloud cannot disable a project, revoked access is all there is to it."""
    project_id = link.provider_project_id
    if cloud.capabilities.can_disable_project and (project := await cloud.find_project(_spec(link))) is not None:
        project_id = project.id
        await cloud.disable_project(project_id, may_write)
    return LinkSuspended(identifier=link.identifier, run=link.run, provider_project_id=project_id)


async def _remove(link: Link, cloud: CloudProvider, may_write: Guard) -> LinkRemoved:
    """Looks again before it says so: a call of older work may have landed meanwhile."""
    removed = await cloud.delete_project(_spec(link), may_write)
    if removed is not None and await cloud.find_project(_spec(link)) is not None:
        raise Transient("The cloud still shows the project after its removal.", code="still_there")
    project_id = removed or link.provider_project_id
    return LinkRemoved(identifier=link.identifier, run=link.run, provider_project_id=project_id)


_CALLS: dict[Goal, Callable[[Link, CloudProvider, Guard], Awaitable[Settling]]] = {
    Goal.ENSURE: _ensure,
    Goal.SUSPEND: _suspend,
    Goal.REMOVE: _remove,
}


def _spec(link: Link) -> ProjectSpec:
    return ProjectSpec(link.identifier, link.name)


def _overdue(link: Link, attempt: int) -> ProvisioningFailed | None:
    if not link.is_overdue:
        return None
    return link.failed("deadline", "The run did not end before its deadline.", retryable=True, tries=attempt)
