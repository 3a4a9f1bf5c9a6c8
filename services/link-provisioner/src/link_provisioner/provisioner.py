"""Brings a cloud project to what its row wants: takes the lease, calls the cloud outside any transaction, settles."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from functools import partial

import structlog
from backbone.database import Database, Transaction
from backbone.failpoints import failpoint
from backbone.group_commit import GroupCommit, Part, Together
from backbone.handlers import Work
from backbone.leases import LeaseKeeper, LeaseLost
from backbone.retries import Snooze
from backbone.shares import Shares
from clouds.errors import TimeoutUnknown, Transient
from clouds.guard import Guard, guarded_by
from clouds.port import CloudProvider, ProjectSpec
from clouds.providers import Clouds
from contracts.events import LinkEnsured, LinkRemoved, LinkSuspended, ProvisioningFailed

from link_provisioner import links, metrics
from link_provisioner.links import Asked, Goal, Link, Settling

log = structlog.get_logger()


class Provisioner:
    """``timeout`` is the longest that one try may take, all its calls together, in seconds."""

    def __init__(self, database: Database, clouds: Clouds, leases: LeaseKeeper, shares: Shares, timeout: float) -> None:
        self._clouds = clouds
        self._leases = leases
        self._shares = shares
        self._timeout = timeout
        self._take: Together[Asked, Link | None] = Together(lambda asked: links.take(database, asked, leases.seconds))
        self._settle = GroupCommit(database, _settle_together)

    async def pursue(self, asked: Asked, work: Work) -> None:
        """Does what the event's run wants of the link and settles it; a settled one tells its fact again.

        Raises a CloudError where the cloud refused, and Snooze where somebody else has the lease, too many wait for the
        region, or the lease was lost on the way: the next look tells who has it, and drops the message where its run
        is over. The lease is kept while the link stands in line for the region.
        """
        link = links.judge(await self._take(asked), asked.event.run)
        if link is None:
            return
        if link.fact is not None:
            async with work.finish() as tx:
                tx.emit(link.fact)
            return
        assert link.taken_at is not None  # noqa: S101 - judge lets no other pass
        with self._leases.hold(link.identifier, link.fence, link.taken_at) as lease:
            fact: Settling | None = None
            try:
                fact = _overdue(link, work.attempt)
                if fact is None:
                    async with self._shares.place(link.region, link.tenant_id):
                        fact = await self._carry_out(link, lease.check)
                    failpoint("after_cloud_call")
                await work.finish_with(self._settle, (link, fact))
            except LeaseLost as error:
                if fact is not None:  # every call was answered: nothing can land after the newer run's
                    async with work.begin() as tx:
                        await links.release_to_newer(tx, link)
                raise Snooze("the lease was lost", 1) from error
            except Exception:
                async with work.begin() as tx:
                    await links.release(tx, link)
                raise

    async def _carry_out(self, link: Link, guard: Guard) -> Settling:
        cloud = self._clouds.open(link.region)
        try:
            async with asyncio.timeout(self._timeout):
                with guarded_by(guard):
                    return await _CALLS[link.goal](link, cloud)
        except TimeoutError:
            raise TimeoutUnknown(f"The cloud took longer than {self._timeout:g} s.") from None


async def _settle_together(tx: Transaction, parts: Sequence[Part[tuple[Link, Settling], None]]) -> None:
    settled = await links.settle(tx, [part.item for part in parts])
    for part in parts:
        link, fact = part.item
        if (link.identifier, link.fence) not in settled:
            part.refuse(LeaseLost(link.identifier))
            continue
        part.run(tx.emit, fact)
        tx.committed.append(partial(part.run, tell, link, fact))


def tell(link: Link, fact: Settling) -> None:
    """Counts and logs what ended a run, once it is committed."""
    about = {"identifier": link.identifier, "run": link.run, "region": link.region}
    if isinstance(fact, ProvisioningFailed):
        about |= {"step": fact.step, "code": fact.code, "error": fact.message, "tries": fact.tries}
        log.error("provisioning.failed", **about)
    else:
        log.info(fact.routing_key, **about)
    outcome = fact.outcome if isinstance(fact, LinkEnsured) else fact.routing_key.rpartition(".")[2]
    metrics.LINKS.labels(outcome).inc()


async def _ensure(link: Link, cloud: CloudProvider) -> LinkEnsured:
    project = await cloud.ensure_project(_spec(link))
    return LinkEnsured(
        identifier=link.identifier,
        run=link.run,
        provider=link.provider,
        region=link.region,
        provider_project_id=project.id,
        outcome="unchanged" if project.id == link.provider_project_id else project.outcome,
        calls=project.calls,
    )


async def _suspend(link: Link, cloud: CloudProvider) -> LinkSuspended:
    """Where the cloud cannot disable a project, revoked access is all there is to it."""
    project_id = link.provider_project_id
    if cloud.capabilities.can_disable_project and (project := await cloud.find_project(_spec(link))) is not None:
        project_id = project.id
        await cloud.disable_project(project_id)
    return LinkSuspended(identifier=link.identifier, run=link.run, provider_project_id=project_id)


async def _remove(link: Link, cloud: CloudProvider) -> LinkRemoved:
    """Looks again before it says so: a call of older work may have landed meanwhile."""
    removed = await cloud.delete_project(_spec(link))
    if removed is not None and await cloud.find_project(_spec(link)) is not None:
        raise Transient("The cloud still shows the project after its removal.", code="still_there")
    project_id = removed or link.provider_project_id
    return LinkRemoved(identifier=link.identifier, run=link.run, provider_project_id=project_id)


_CALLS: dict[Goal, Callable[[Link, CloudProvider], Awaitable[Settling]]] = {
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
