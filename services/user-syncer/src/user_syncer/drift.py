"""Compares every settled project with its cloud, user by user, and tells what differs; it writes nothing there.

A person, or whoever hears the event, repairs by a run (project-api's `POST …/repair`).
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import structlog
from backbone.database import Database
from clouds.errors import CloudError
from clouds.port import Capabilities, Snapshot
from clouds.providers import Clouds
from clouds.reconcile import names_of
from contracts.events import DriftDetected
from contracts.status import Kind

from user_syncer import members, metrics, planning, runs
from user_syncer.model import Member, Run

log = structlog.get_logger()

Drift = Mapping[str, list[str]]
"""What differs by user id; under the empty one what differs of the project itself."""

CLAIM = (
    "UPDATE runs SET compared_at = now() WHERE identifier IN (SELECT identifier FROM runs"
    " WHERE kind IN ('provision', 'suspend') AND planned_at IS NOT NULL AND provider_project_id IS NOT NULL"
    " AND (compared_at IS NULL OR compared_at <= :due)"
    " AND NOT EXISTS (SELECT FROM chunks WHERE chunks.identifier = runs.identifier)"
    " ORDER BY compared_at NULLS FIRST LIMIT 10 FOR UPDATE SKIP LOCKED) RETURNING identifier, drift::text"
)
STORE = "UPDATE runs SET drift = CAST(:drift AS jsonb) WHERE identifier = :identifier AND run = :run RETURNING run"
KNOWN = "SELECT count(*) FROM runs CROSS JOIN LATERAL jsonb_object_keys(drift) WHERE drift <> '{}'"


@dataclass(frozen=True)
class DriftSweep:
    """Each method is one round of a background task; ``period`` is the seconds between two looks. Any number of
    replicas share the projects.
    """

    database: Database
    clouds: Clouds
    period: float

    async def look(self) -> None:
        """Each project that is due."""
        async with self.database.transaction() as tx:
            due = await tx.time() - timedelta(seconds=self.period)
        while claimed := await self._claim(due):
            for identifier, told in claimed:
                try:
                    await self._compare(identifier, told)
                except CloudError as error:
                    log.warning("drift.not_compared", identifier=identifier, error=str(error))

    async def measure(self) -> None:
        """Refreshes the gauge: users, and projects themselves, that differ by the last look."""
        metrics.DRIFT.set((await self.database.execute(KNOWN, {})).scalar_one())

    async def _claim(self, due: datetime) -> list[tuple[str, Drift]]:
        rows = (await self.database.execute(CLAIM, {"due": due})).all()
        return [(row.identifier, json.loads(row.drift)) for row in rows]

    async def _compare(self, identifier: str, told: Drift) -> None:
        run = await runs.read(self.database, identifier)
        if run is None or run.provider_project_id is None:
            return
        known = await members.of_project(self.database, identifier)
        cloud = self.clouds.open(run.region)
        names = {name for member in known.values() for name in names_of(member.record)}
        snapshot = await cloud.read_snapshot(run.spec, run.provider_project_id, names)
        found = drift_of(run, known, snapshot, cloud.capabilities)
        if found != told:
            await self._tell(run, found, told)

    async def _tell(self, run: Run, found: Drift, told: Drift) -> None:
        """Each difference once, for as long as it stays the same; nothing where a newer run has begun."""
        async with self.database.transaction() as tx:
            about = {"identifier": run.identifier, "run": run.number}
            if (await tx.execute(STORE, {**about, "drift": json.dumps(found)})).one_or_none() is None:
                return
            for user, drift in found.items():
                if told.get(user) != drift:
                    user_id = int(user) if user else None
                    tx.emit(DriftDetected(**about, user_id=user_id, drift=tuple(drift)))  # type: ignore[arg-type] # two fields
        log.warning("drift.found", **about, differences=len(found))


def drift_of(run: Run, known: Mapping[int, Member], snapshot: Snapshot, can: Capabilities) -> Drift:
    """What the run's own plan would still do, for users whose work is over; in the words of a preview."""
    if snapshot.project is None:
        return {"": ["project_missing"]}
    if run.kind is Kind.SUSPEND and can.can_disable_project:
        return {"": ["project_enabled"]} if snapshot.project.enabled else {}
    # What an attempt before may still do under another e-mail is the sweep's to look for, and differs from nothing.
    settled = {each: replace(one, asked_email=None) if one.state == "synced" else one for each, one in known.items()}
    orders = planning.orders_of(replace(run, redo=frozenset()), settled, snapshot, can)
    over = {user_id for user_id, member in known.items() if member.state in ("synced", "revoked")}
    found = {str(each.user_id): list(each.change.actions) for each in orders if each.user_id in over}
    found[""] = _of_project(snapshot, known)
    return {user: drift for user, drift in found.items() if drift}


def _of_project(snapshot: Snapshot, known: Mapping[int, Member]) -> list[str]:
    users, keys = snapshot.users or {}, snapshot.keys or {}
    accounts = {users[name].id for member in known.values() for name in names_of(member.record) if name in users}
    strangers = any(keys[account] for account in keys.keys() - accounts)
    assert snapshot.project is not None  # noqa: S101 - its caller has looked
    return ["project_disabled"] * (not snapshot.project.enabled) + ["unknown_key"] * strangers
