"""Runs by the database's clock: how many go on and how old, which are overdue or have just ended late, and why."""

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from backbone.database import Database
from contracts.status import Picture
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from status_projector import metrics
from status_projector.settings import Settings

NAMED = 50
"""Runs that are overdue, and runs that ended late, with a time series of their own at most."""

_REASON = "coalesce(picture -> 'waiting' ->> 'code', 'working') AS reason"

BY_REGION = (
    "SELECT provider, region, count(*) AS runs, extract(epoch FROM now() - min(started_at)) AS oldest"
    " FROM project_status WHERE NOT finished AND started_at IS NOT NULL GROUP BY provider, region"
)
OVERDUE = (
    f"SELECT identifier, step, {_REASON} FROM project_status"  # noqa: S608 - the fragment is a constant
    " WHERE NOT finished AND started_at < now() - make_interval(secs => :slow) ORDER BY started_at LIMIT :named"
)
# The step is the one that failed, else the one that took longer; the reason is the failure's, else the last delay's.
ENDED_LATE = (
    "SELECT identifier, coalesce(picture #>> '{failure,step}',"
    " CASE WHEN CAST(picture #>> '{steps,0,updated_at}' AS timestamptz) - started_at > (completed_at - started_at) / 2"
    " THEN 'link' ELSE 'users' END) AS step, coalesce(picture #>> '{failure,code}',"
    " (SELECT data ->> 'code' FROM events WHERE events.identifier = project_status.identifier"
    " AND events.run = project_status.run AND type = 'ProvisioningDelayed' ORDER BY seq DESC LIMIT 1), 'working')"
    " AS reason FROM project_status WHERE finished AND completed_at > now() - make_interval(secs => :told)"
    " AND completed_at - started_at > make_interval(secs => :slow) ORDER BY completed_at DESC LIMIT :named"
)
OVERDUE_STEPS = (
    f"SELECT provider, region, step, {_REASON}, count(*) AS runs FROM project_status WHERE NOT finished"  # noqa: S608 - as above
    " AND step_since < now() - make_interval(secs => CASE step WHEN 'link' THEN CAST(:link AS double precision)"
    " ELSE :users END) GROUP BY 1, 2, 3, 4"
)


class Running(Collector):
    """The metrics of the last look. All change at once: no scrape sees half a look, and no series outlives its run."""

    def __init__(self) -> None:
        self._families: Sequence[GaugeMetricFamily] = ()
        self._lag = 0.0
        self._late: dict[str, tuple[float, Mapping[Any, Any]]] = {}

    def ended_late(self, identifier: str, shown: Picture) -> None:
        """A late end was folded here: it is named from now on, however old it is and whatever run has followed it."""
        step, reason = (shown.failure.step, shown.failure.code) if shown.failure else (_longer(shown), "working")
        self._late[identifier] = time.monotonic(), {"identifier": identifier, "step": step, "reason": reason}

    def collect(self) -> Iterable[GaugeMetricFamily]:
        """What the last look found."""
        return self._families

    def folded(self, lag: float) -> None:
        """An event was folded ``lag`` seconds after it happened."""
        self._lag = max(self._lag, lag)

    async def look(self, database: Database, settings: Settings) -> None:
        """Looks at every run that goes on, and at those that ended in the last ``slow_told_seconds``."""
        metrics.LAG.set(self._lag)
        self._lag = 0.0
        async with database.reading() as connection:
            regions = (await connection.execute(BY_REGION)).mappings().all()
            named = {"slow": settings.slow_seconds, "named": NAMED}
            overdue = (await connection.execute(OVERDUE, named)).mappings().all()
            late = (await connection.execute(ENDED_LATE, named | {"told": settings.slow_told_seconds})).mappings().all()
            late = [*late, *self._folded_late(late, settings.slow_told_seconds)][:NAMED]
            shares = {"link": settings.link_seconds, "users": settings.users_seconds}
            steps = (await connection.execute(OVERDUE_STEPS, shares)).mappings()
            self._families = (
                _gauge("uca_provisioning_running", "Runs that go on", ("provider", "region"), regions, "runs"),
                _gauge(
                    "uca_provisioning_oldest_running_seconds",
                    "Age of the oldest run that goes on",
                    ("provider", "region"),
                    regions,
                    "oldest",
                ),
                _gauge(
                    "uca_provisioning_overdue",
                    "1 for each run that takes longer than it may, the oldest only",
                    ("identifier", "step", "reason"),
                    overdue,
                ),
                _gauge(
                    "uca_provisioning_late",
                    "1 for each run that has just ended later than it may, the newest only",
                    ("identifier", "step", "reason"),
                    late,
                ),
                _gauge(
                    "uca_step_overdue",
                    "Runs whose step takes longer than its share",
                    ("provider", "region", "step", "reason"),
                    steps,
                    "runs",
                ),
            )

    def _folded_late(self, known: Sequence[Mapping[Any, Any]], seconds: float) -> Sequence[Mapping[Any, Any]]:
        """Those beside ``known`` whose late end was folded here in the last ``seconds``.

        What was known once keeps its labels: others would be another alert.
        """
        since, labels = time.monotonic() - seconds, {row["identifier"]: row for row in known}
        self._late = {name: (at, labels.get(name, told)) for name, (at, told) in self._late.items() if at > since}
        return [told for name, (_, told) in self._late.items() if name not in labels]


def _longer(shown: Picture) -> str:
    """The step that took longer, as ENDED_LATE has it."""
    linked, began, end = shown.steps[0].updated_at, shown.started_at, shown.completed_at
    return "link" if linked and began and end and linked - began > (end - began) / 2 else "users"


def _gauge(
    name: str, words: str, labels: tuple[str, ...], rows: Iterable[Mapping[Any, Any]], value: str | None = None
) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, words, labels=labels)
    for row in rows:
        family.add_metric([row[label] for label in labels], float(row[value]) if value else 1.0)
    return family
