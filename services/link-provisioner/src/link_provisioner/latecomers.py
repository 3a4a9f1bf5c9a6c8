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

from link_provisioner import metrics
from link_provisioner.links import COLUMNS, Link, of_row

log = structlog.get_logger()

AT_ONCE = 10
"""Links that are claimed together."""

CLAIM = (
    "UPDATE links SET fence = fence + 1, leased_as = fence + 1, look_again_at = now(),"  # noqa: S608 - our own names
    " lease_until = clock_timestamp() + make_interval(secs => :seconds) WHERE identifier IN ("
    "SELECT identifier FROM links WHERE look_again_at < now() - make_interval(secs => :pause) AND state = 'removed'"
    " AND coalesce(lease_until < clock_timestamp(), true) ORDER BY look_again_at LIMIT :at_once FOR UPDATE SKIP LOCKED)"
    f" RETURNING {COLUMNS}"
)
LOOKED = (
    "UPDATE links SET lease_until = NULL, look_again_at = CASE WHEN :gone THEN NULL ELSE look_again_at END"
    " WHERE identifier = :identifier AND fence = :fence"
)


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
        claimed = await claim(self.database, self.leases.seconds, self.pause)
        await asyncio.gather(*(self._look_for(link, asked_at) for link in claimed))
        return len(claimed)

    async def _look_for(self, link: Link, asked_at: float) -> None:
        # Under the lease: should the project be wanted again, nothing is made of it before this look has ended. One
        # without an answer keeps it to its time, for its delete may still be carried out.
        with self.leases.hold(link.identifier, link.fence, asked_at) as lease:
            try:
                async with asyncio.timeout(self.timeout):
                    with guarded_by(lease.check):
                        removed = await self._remove(link)
            except (CloudError, LeaseLost, TimeoutError) as error:
                log.warning("link.not_looked_for", identifier=link.identifier, error=str(error))
            else:
                await looked(self.database, link, gone=removed is None)

    async def _remove(self, link: Link) -> str | None:
        removed = await self.clouds.open(link.region).delete_project(ProjectSpec(link.identifier, link.name))
        if removed is not None:
            metrics.LINKS.labels("came_late").inc()
            log.warning("link.came_late", identifier=link.identifier, region=link.region, project=removed)
        return removed


async def claim(database: Database, seconds: float, pause: float) -> list[Link]:
    """Removed links that nobody has looked for in ``pause`` seconds, with a lease of ``seconds`` on each."""
    given = {"at_once": AT_ONCE, "seconds": seconds, "pause": pause}
    return [of_row(row) for row in await database.execute(CLAIM, given)]


async def looked(database: Database, link: Link, *, gone: bool) -> None:
    """Gives the lease back, unless it is another's by now; what is ``gone`` is not looked for again."""
    await database.execute(LOOKED, {"identifier": link.identifier, "fence": link.fence, "gone": gone})
