"""Finds cloud projects that bear our mark and that no project of ours should have; tells of them, and removes none."""

from collections.abc import Mapping
from dataclasses import dataclass

import structlog
from backbone.database import Database
from clouds.errors import CloudError
from clouds.port import CloudProject, ProjectListing
from clouds.providers import Clouds
from contracts.events import OrphanFound

from user_syncer import metrics

log = structlog.get_logger()

OURS = (
    # A removal whose time is up should have taken the cloud project away.
    "SELECT identifier FROM runs WHERE region = :region AND identifier = ANY(CAST(:identifiers AS text[]))"
    " AND NOT (kind = 'remove' AND deadline_at <= now())"
)
SEE = (
    # A statement sees no row that it writes itself: what was never seen before is not told yet.
    "WITH gone AS (DELETE FROM orphans WHERE region = :region"
    " AND NOT provider_project_id = ANY(CAST(:projects AS text[]))),"
    " seen AS (INSERT INTO orphans (region, provider_project_id)"
    " SELECT :region, unnest(CAST(:projects AS text[])) ON CONFLICT DO NOTHING)"
    " UPDATE orphans SET told = true WHERE region = :region AND NOT told"
    " AND provider_project_id = ANY(CAST(:projects AS text[]))"
    " AND first_seen_at <= now() - make_interval(secs => :age) RETURNING provider_project_id"
)
TOLD = "SELECT region, count(*) AS orphans FROM orphans WHERE told GROUP BY region"


@dataclass(frozen=True)
class OrphanSweep:
    """Each method is one round of a background task; ``period`` is the seconds between two looks of one replica. Any
    number of replicas look, and one of them tells.
    """

    database: Database
    clouds: Clouds
    period: float

    async def look(self) -> None:
        """Every region whose cloud lists its projects."""
        for code in self.clouds.codes:
            cloud = self.clouds.open(code)
            if not isinstance(cloud, ProjectListing):
                continue
            try:
                await self._take_in(code, await cloud.list_projects())
            except CloudError as error:
                log.warning("orphans.not_looked_for", region=code, error=str(error))

    async def measure(self) -> None:
        """Refreshes the gauge."""
        told = {row.region: row.orphans for row in (await self.database.execute(TOLD, {})).all()}
        for code in self.clouds.codes:
            metrics.ORPHANS.labels(code).set(told.get(code, 0))

    async def _take_in(self, region: str, listed: Mapping[str, CloudProject]) -> None:
        """Each orphan is told once, for as long as it stays; and only when it is still there at a later look, for a
        project is made on the cloud while its request is on its way to us.
        """
        about = {"region": region, "identifiers": list(listed)}
        ours = {row.identifier for row in (await self.database.execute(OURS, about)).all()}
        unknown = {project.id: identifier for identifier, project in listed.items() if identifier not in ours}
        async with self.database.transaction() as tx:
            seen = {"region": region, "projects": sorted(unknown), "age": self.period / 2}
            found = [unknown[row.provider_project_id] for row in (await tx.execute(SEE, seen)).all()]
            tx.emit(*(self._told(region, identifier, listed[identifier]) for identifier in found))
        for identifier in found:
            log.warning("orphan.found", region=region, identifier=identifier, project=listed[identifier].id)

    def _told(self, region: str, identifier: str, project: CloudProject) -> OrphanFound:
        return OrphanFound(
            identifier=identifier,
            run=0,
            provider=self.clouds.region(region).provider,
            region=region,
            provider_project_id=project.id,
            name=project.name,
        )
