"""What every worker does every few seconds: learns which regions are in maintenance, and tells how their clouds do.

It goes through the database, which each replica has anyway, so none of them misses a word.
"""

from collections import deque
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from time import monotonic
from typing import Any, NamedTuple

import structlog

from clouds.providers import Clouds

log = structlog.get_logger()

EVERY = 3.0
"""Seconds between two looks."""
WINDOW = 60.0
"""Seconds that a rate is of."""

TABLE = """
    CREATE UNLOGGED TABLE region_health (
        instance text,
        region text,
        breaker text NOT NULL CHECK (breaker IN ('closed', 'half_open', 'open')),
        limited_until timestamptz,
        calls_per_minute double precision NOT NULL,
        failures_per_minute double precision NOT NULL,
        seen_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (instance, region)
    )
"""
"""In each worker's own schema; unlogged, for it is told anew all the time."""

MAINTENANCE = "SELECT region FROM project_api.maintenance"
REPORT = """
    WITH gone AS (DELETE FROM region_health WHERE seen_at < now() - interval '1 hour')
    INSERT INTO region_health (instance, region, breaker, limited_until, calls_per_minute, failures_per_minute)
    SELECT :instance, each.region, each.breaker,
        CASE WHEN each.limited > 0 THEN now() + make_interval(secs => each.limited) END, each.calls, each.failures
    FROM unnest(CAST(:regions AS text[]), CAST(:breakers AS text[]), CAST(:limited AS float8[]),
        CAST(:calls AS float8[]), CAST(:failures AS float8[])) AS each(region, breaker, limited, calls, failures)
    ON CONFLICT (instance, region) DO UPDATE SET breaker = excluded.breaker, limited_until = excluded.limited_until,
        calls_per_minute = excluded.calls_per_minute, failures_per_minute = excluded.failures_per_minute,
        seen_at = excluded.seen_at
"""


class _Sample(NamedTuple):
    at: float
    calls: int
    failures: int


class RegionWatch:
    """One process's part. ``transaction`` opens one on the service's own schema; ``reports`` where it has the table."""

    def __init__(
        self,
        clouds: Clouds,
        transaction: Callable[[], AbstractAsyncContextManager[Any]],
        instance: str,
        *,
        reports: bool = True,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._clouds = clouds
        self._transaction = transaction
        self._instance = instance
        self._reports = reports
        self._clock = clock
        self._maintained: frozenset[str] = frozenset()
        self._samples: dict[str, deque[_Sample]] = {}

    async def look(self) -> None:
        """One look. Where the database is away what was known stays, and the caller tries again."""
        async with self._transaction() as tx:
            self._apply(frozenset(row.region for row in (await tx.execute(MAINTENANCE)).all()))
            if self._reports:
                await tx.execute(REPORT, self._report())

    def _apply(self, maintained: frozenset[str]) -> None:
        for code in self._clouds.codes:
            if (code in maintained) != (code in self._maintained):
                self._clouds.set_maintenance(code, code in maintained)
                log.info("cloud.maintenance", region=code, on=code in maintained)
        self._maintained = maintained

    def _report(self) -> dict[str, Any]:
        now = self._clock()
        known = [self._clouds.health(code) for code in self._clouds.codes]
        told = [(health, *self._rates(health.region, now, health.calls, health.failures)) for health in known]
        return {
            "instance": self._instance,
            "regions": [health.region for health, _, _ in told],
            "breakers": [health.breaker.name.lower() for health, _, _ in told],
            "limited": [health.limited for health, _, _ in told],
            "calls": [calls for _, calls, _ in told],
            "failures": [failures for _, _, failures in told],
        }

    def _rates(self, region: str, now: float, calls: int, failures: int) -> tuple[float, float]:
        """Per minute, over the last minute as far as it was watched."""
        samples = self._samples.setdefault(region, deque([_Sample(now - EVERY, 0, 0)]))
        samples.append(_Sample(now, calls, failures))
        while now - samples[0].at > WINDOW and len(samples) > 2:
            samples.popleft()
        first, minutes = samples[0], max(now - samples[0].at, EVERY) / 60
        return (calls - first.calls) / minutes, (failures - first.failures) / minutes
