"""Cloud projects that come after their removal: a create without an answer may be carried out when nobody waits for it
any more, and the removal that looked meanwhile saw nothing.
"""

import asyncio
import time
from dataclasses import dataclass

import structlog
from backbone.database import Database
from backbone.leases import LeaseKeeper, LeaseLost
from clouds.errors import CloudError
from clouds.guard import guarded_by
from clouds.port import ProjectSpec
from clouds.providers import Clouds

from link_provisioner import links, metrics
from link_provisioner.links import Link

log = structlog.get_logger()

AT_ONCE = 10
"""Links that are claimed together."""


@dataclass(frozen=True)
class Latecomers:
    """``pause`` is the seconds from a removal to the look, and from a look that failed or found something to the next;
    ``timeout`` is the longest that one look may take, removal included. Any number of replicas look.
    """

    database: Database
    clouds: Clouds
    leases: LeaseKeeper
    pause: float
    timeout: float

    async def look(self) -> None:
        """Looks once more for each project that was removed so long ago; one that is there is removed again."""
        while await self._look_for_some() == AT_ONCE:
            log.debug("links.more_to_look_for")

    async def _look_for_some(self) -> int:
        asked_at = time.monotonic()
        claimed = await links.claim_removed(self.database, AT_ONCE, self.leases.seconds, self.pause)
        await asyncio.gather(*(self._look_for(link, asked_at) for link in claimed))
        return len(claimed)

    async def _look_for(self, link: Link, asked_at: float) -> None:
        # Under the lease: should the project be wanted again, nothing is made of it before this look has ended.
        with self.leases.hold(link.identifier, link.fence, asked_at) as lease:
            gone = False
            try:
                async with asyncio.timeout(self.timeout):
                    with guarded_by(lease.check):
                        gone = await self._remove(link) is None
            except (CloudError, LeaseLost, TimeoutError) as error:
                log.warning("link.not_looked_for", identifier=link.identifier, error=str(error))
            await links.looked(self.database, link, gone=gone)

    async def _remove(self, link: Link) -> str | None:
        removed = await self.clouds.open(link.region).delete_project(ProjectSpec(link.identifier, link.name))
        if removed is not None:
            metrics.LINKS.labels("came_late").inc()
            log.warning("link.came_late", identifier=link.identifier, region=link.region, project=removed)
        return removed
