"""What nobody else would see: chunks whose ticket is lost, and keys on the cloud whose secret was never stored."""

from dataclasses import dataclass

import structlog
from backbone.database import Database
from clouds.errors import CloudError
from clouds.providers import Clouds
from clouds.reconcile import names_to_read

from user_syncer import chunks, members, metrics, planning, runs, tickets
from user_syncer.model import Member, Plan, Report, Run
from user_syncer.orders import pieces
from user_syncer.settings import Settings

log = structlog.get_logger()

AT_ONCE = 10
"""Projects that are claimed together."""

CLAIM = (
    # A project is looked at by one replica at a time, and only while no chunk of it is open: its attempts are over.
    "UPDATE runs SET swept_at = now() WHERE identifier IN (SELECT identifier FROM runs"
    # What a user's last attempt asked of the cloud may be carried out after the attempt has ended.
    " WHERE identifier IN (SELECT identifier FROM member_records WHERE may_have_issued"
    " AND updated_at < now() - make_interval(secs => :pause))"
    " AND (planned_at IS NOT NULL OR failure IS NOT NULL OR kind = 'cancel') AND provider_project_id IS NOT NULL"
    " AND (swept_at IS NULL OR swept_at < now() - make_interval(secs => :pause))"
    " AND NOT EXISTS (SELECT FROM chunks WHERE chunks.identifier = runs.identifier)"
    " ORDER BY swept_at NULLS FIRST LIMIT :at_once FOR UPDATE SKIP LOCKED) RETURNING identifier"
)

FORGET = (
    "WITH gone AS (DELETE FROM runs WHERE kind = 'remove' AND planned_at < now() - make_interval(days => :days)"
    " AND chunks_left = 0 AND failure IS NULL AND NOT EXISTS (SELECT FROM member_records AS m"
    " WHERE m.identifier = runs.identifier AND (m.role IS NOT NULL OR m.key_id IS NOT NULL OR m.may_have_issued))"
    " RETURNING identifier)"
    " DELETE FROM member_records USING gone WHERE member_records.identifier = gone.identifier"
)


@dataclass(frozen=True)
class Sweep:
    """Each method is one round of a background task; any number of replicas may run them."""

    database: Database
    clouds: Clouds
    settings: Settings

    async def renew_tickets(self) -> None:
        """Where a worker died its chunk is free again once the lease has run out; a wiped broker has no tickets."""
        async with self.database.transaction() as tx:
            lost = await chunks.ticketless(tx, self.settings.ticket_after)
            for event in lost:
                tx.send(tickets.ticket(event, await tx.time()))
            await chunks.forget(tx)
        if lost:
            log.warning("chunks.ticketless", tickets=len(lost))

    async def measure(self) -> None:
        """Refreshes the gauges."""
        open_, waiting, oldest = await chunks.state(self.database)
        metrics.CHUNKS_OPEN.set(open_)
        metrics.CHUNKS_WAITING.set(waiting)
        metrics.CHUNK_OLDEST.set(oldest)

    async def forget_removed(self) -> None:
        """Of projects whose removal took everybody's access long ago nothing is kept; no event of theirs comes late."""
        await self.database.execute(FORGET, {"days": self.settings.keep_removed_days})

    async def look_for_keys(self) -> None:
        """Of users whose last attempt has no known end; keys found are revoked by a chunk, like all that is written."""
        while await self._look_at_some() == AT_ONCE:
            log.debug("keys.more_to_look_for")

    async def _look_at_some(self) -> int:
        async with self.database.transaction() as tx:
            claimed = [
                row.identifier
                for row in (await tx.execute(CLAIM, {"pause": self.settings.strays_after, "at_once": AT_ONCE})).all()
            ]
        for identifier in claimed:
            run = await runs.read(self.database, identifier)
            uncertain = await members.uncertain(self.database, identifier, self.settings.strays_after)
            if run is None or run.provider_project_id is None:
                continue
            try:
                await self._look(run, run.provider_project_id, uncertain)
            except CloudError as error:
                log.warning("keys.not_looked_for", identifier=identifier, error=str(error))
        return len(claimed)

    async def _look(self, run: Run, project_id: str, uncertain: tuple[Member, ...]) -> None:
        cloud = self.clouds.open(run.region)
        names = names_to_read((each.record for each in uncertain), cloud.capabilities)
        snapshot = await cloud.read_snapshot(run.spec, project_id, names)
        orders = planning.stray_orders(uncertain, snapshot, run.participants)
        found = tuple(order for order in orders if not order.change.unchanged)
        parts = tuple(pieces(found, self.settings.chunk_size))
        async with self.database.transaction() as tx:
            await runs.lock(tx, [run.identifier])  # before members; and lest a newer run miss these chunks
            newest = await runs.read(tx, run.identifier)
            if newest is None or newest.number != run.number:
                return  # its attempts may have come after the reading, and are looked for in a while
            clean = [order.user_id for order in orders if order.change.unchanged]
            await members.record(tx, [Report(run.identifier, run.number, certain=clean)])
            if parts and await chunks.insert(tx, Plan(run, project_id, parts, "sweep")):
                for part in parts:
                    tx.send(tickets.ticket(run.ticket(len(part)), await tx.time()))
        log.info("keys.looked_for", identifier=run.identifier, users=len(orders), with_strays=len(found))
