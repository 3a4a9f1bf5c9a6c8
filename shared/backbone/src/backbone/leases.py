"""Leases: who may write on the cloud for a row, and until when.

A row bears ``fence`` and ``lease_until``. Taking it raises the fence, so whoever held it before can no longer commit. A
holder stops by itself, before any write, once its lease has run out by its own monotonic clock, whatever the database
or the wall clock say: a process that was frozen wakes to find its lease gone.
"""

import asyncio
import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from backbone import metrics
from backbone.away import DatabaseUnavailable
from backbone.database import Database

log = structlog.get_logger()


class LeaseLost(Exception):
    """Another worker or a newer run took over; what was being done must stop without a trace."""


class Lease:
    """The right to write for one row. :meth:`check` is called before each write outside, and costs nothing."""

    def __init__(self, key: str, fence: int, seconds: float, asked_at: float) -> None:
        self.key = key
        self.fence = fence
        self._seconds = seconds
        self._until = asked_at + seconds
        self._lost = False

    def check(self) -> None:
        """Raises :class:`LeaseLost` where the lease was taken over or has run out."""
        if self._lost or time.monotonic() >= self._until:
            raise LeaseLost(self.key)

    def renewed(self, asked_at: float) -> None:
        """Counts from when the renewal was asked for, so this clock never lags the database's."""
        self._until = asked_at + self._seconds

    def lose(self) -> None:
        """Ends the right at once."""
        self._lost = True


class LeaseKeeper:
    """Renews the leases that this process holds on one table, all in one statement."""

    def __init__(self, database: Database, table: str, key: str, seconds: float) -> None:
        self._database = database
        self.seconds = seconds
        self._held: dict[tuple[str, int], Lease] = {}
        self._renew = (
            f"UPDATE {table} t SET lease_until = clock_timestamp() + make_interval(secs => :seconds)"  # noqa: S608 - our own names
            f" FROM unnest(CAST(:keys AS text[]), CAST(:fences AS bigint[])) AS held(key, fence)"
            f" WHERE t.{key}::text = held.key AND t.fence = held.fence"
            # What was given back a moment ago must not be taken again: nobody would work on it.
            " AND t.lease_until IS NOT NULL RETURNING held.key, held.fence"
        )

    @contextmanager
    def hold(self, key: str, fence: int, asked_at: float | None = None) -> Iterator[Lease]:
        """Keeps the lease on a row that was just taken with ``fence``, until the end of the block.

        ``asked_at`` is the monotonic time before the statement that took it: a process frozen right after the commit
        would else count from when it wakes.
        """
        lease = Lease(key, fence, self.seconds, time.monotonic() if asked_at is None else asked_at)
        self._held[key, fence] = lease
        metrics.LEASES_HELD.inc()
        try:
            yield lease
        finally:
            metrics.LEASES_HELD.dec()
            del self._held[key, fence]

    async def run(self) -> None:
        """Renews three times in a lease's length, for as long as the service runs."""
        while True:
            await asyncio.sleep(self.seconds / 3)
            if self._held:
                await self.renew()

    async def renew(self) -> None:
        """Renews what is held now; a lease whose row has another fence is lost from then on."""
        held = dict(self._held)
        asked_at = time.monotonic()
        parameters = {"seconds": self.seconds, "keys": [k for k, _ in held], "fences": [f for _, f in held]}
        try:
            kept = {(row.key, row.fence) for row in (await self._database.execute(self._renew, parameters)).all()}
        except DatabaseUnavailable as error:
            log.warning("lease.renewal_delayed", error=repr(error), held=len(held))
            return
        for name, lease in held.items():
            if name in kept:
                lease.renewed(asked_at)
            elif name in self._held:
                lease.lose()
                metrics.LEASES_LOST.inc()
                log.warning("lease.lost", key=lease.key)
