"""Runs come to an end, whatever was lost on the way: what makes no progress is asked for again, what is late fails.

All from the database, so a broker that lost everything is filled again. The event is the run's own, in a new message:
workers know what they have done for it already. A run of which nothing can be told keeps no other from its end.

Asking must not make a long line longer. So the pause grows while asking brings nothing, and who merely stands in line
is left there: runs that were asked for earlier still end, and none that was asked for later has.
"""

from collections.abc import Mapping
from typing import Any

import structlog
from backbone.database import Database, Transaction
from contracts.events import Event, ProvisioningFailed, Step
from contracts.status import Kind
from prometheus_client import Counter

from project_api.runs import commands, rules, sizes
from project_api.runs.pictures import JOIN
from project_api.runs.raising import PEOPLE
from project_api.settings import Settings
from project_api.web import idempotency

log = structlog.get_logger()

SWEPT = Counter(
    "uca_runs_swept_total",
    "Runs that were asked for again, failed at their deadline, or could not be told of",
    ("outcome",),
)

BATCH = 200
DOUBLINGS = 6
"""A run without progress is asked for again after 1, 2, 4 … 64 times ``sweep_seconds``, and so on."""

TURN = "SELECT pg_try_advisory_xact_lock(hashtext('project_api.sweeper'))"
CLOSE = f"""
    WITH ended AS (
        SELECT p.identifier, s.status, p.kind = 'remove' AND s.status <> 'failed' AS gone
        FROM projects AS p {JOIN} WHERE p.open AND s.finished ORDER BY p.requested_at LIMIT 1000 FOR UPDATE OF p
    ), closed AS (
        UPDATE projects AS p SET open = false, status = ended.status FROM ended
        WHERE p.identifier = ended.identifier AND NOT ended.gone
    ), gone AS (
        DELETE FROM projects AS p USING ended WHERE p.identifier = ended.identifier AND ended.gone
    )
    DELETE FROM participants AS m USING ended WHERE m.identifier = ended.identifier AND ended.gone
    """  # noqa: S608 - our own words
DUE = f"""
    WITH reached AS MATERIALIZED (
        -- How far each line has come: the latest request among the runs that have just become active.
        SELECT region, coalesce(tenant_id, 0) AS tenant, max(started_at) AS requested_at
        FROM status_projector.project_status
        WHERE status = 'active' AND completed_at > now() - make_interval(secs => :seconds) GROUP BY 1, 2
    ), standing AS (
        -- Progress is what is done, not what is told: the answers to a question asked again are no progress.
        SELECT p.identifier, s.step, done.count AS done,
            CASE WHEN done.count > p.swept_progress THEN 0 ELSE p.sweeps END AS fruitless,
            p.requested_at >= reached.requested_at AS in_line,
            now() - greatest(p.requested_at, p.swept_at, s.updated_at) AS still,
            now() >= p.deadline_at AND (p.swept_at IS NULL OR p.swept_at < p.deadline_at) AS late
        FROM projects AS p {JOIN}
        LEFT JOIN reached ON reached.region = p.region AND reached.tenant = coalesce(p.tenant_id, 0)
        CROSS JOIN LATERAL (
            SELECT coalesce(CAST(s.picture #>> '{{progress,completed}}' AS integer), 0) AS count
        ) AS done
        WHERE p.open AND NOT coalesce(s.finished, false)
    ), due AS (
        SELECT standing.* FROM projects AS p JOIN standing USING (identifier)
        WHERE late OR still >= make_interval(secs => :seconds * 2 ^ CASE WHEN in_line THEN :doublings
            ELSE least(fruitless, :doublings) END)
        ORDER BY p.requested_at LIMIT :batch FOR UPDATE OF p SKIP LOCKED
    )
    UPDATE projects AS p SET swept_at = now(), swept_progress = due.done, sweeps = due.fruitless + 1
    FROM due WHERE p.identifier = due.identifier
    RETURNING p.identifier, p.run, p.name, p.tenant_id, p.provider, p.region, p.kind, p.command, p.requested_at,
        p.deadline_at, p.sweeps, due.step, {PEOPLE} AS people, now() AS now
    """  # noqa: S608 - our own words


class Sweeper:
    """One round at a time over all replicas."""

    def __init__(self, database: Database, settings: Settings) -> None:
        self._database = database
        self._seconds = settings.sweep_seconds
        self._hours = settings.idempotency_hours

    @property
    def every(self) -> float:
        """Seconds between rounds."""
        return max(0.5, min(5.0, self._seconds / 6))

    async def sweep(self) -> None:
        """One round; a replica whose turn it isn't does nothing."""
        async with self._database.transaction() as tx:
            if not (await tx.execute(TURN)).scalar_one():
                return
            await tx.execute(CLOSE)
            values = {"seconds": self._seconds, "doublings": DOUBLINGS, "batch": BATCH}
            for row in (await tx.execute(DUE, values)).all():
                tx.now = row.now
                self._drive(tx, row)

    async def forget(self) -> None:
        """Forgets answers of Idempotency-Keys that are older than they are kept for."""
        await idempotency.forget(self._database, self._hours)

    def _drive(self, tx: Transaction, row: Any) -> None:
        try:
            event = _late(row) if row.now >= row.deadline_at else _again(row)
        except Exception:  # whatever is wrong with one row: raised, it would undo the round for all of them
            SWEPT.labels("failed").inc()
            log.exception("run.not_swept", identifier=row.identifier, run=row.run)
            return
        tx.emit(event)
        outcome = "deadline" if isinstance(event, ProvisioningFailed) else "asked_again"
        SWEPT.labels(outcome).inc()
        log.warning("run.swept", identifier=row.identifier, run=row.run, outcome=outcome, sweeps=row.sweeps)


def _again(row: Any) -> Event:
    command: Mapping[str, Any] = row.command
    event = rules.event(row._mapping, command, commands.recorded(row))
    if (size := sizes.size(event)) > sizes.LARGEST:
        raise ValueError(f"an event of {size} bytes; a message holds {sizes.LARGEST}")
    return event


def _late(row: Any) -> ProvisioningFailed:
    step = Step.REMOVE if row.kind == Kind.REMOVE else Step(row.step or Step.LINK)
    return ProvisioningFailed(
        identifier=row.identifier,
        run=row.run,
        step=step,
        code="deadline",
        message=f"The run had not ended by its deadline, {row.deadline_at:%Y-%m-%d %H:%M} UTC.",
        retryable=True,
        tries=0,
    )
