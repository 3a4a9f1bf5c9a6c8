"""What a create has to know before it writes, so that writing is all that it asks of the database."""

import asyncio
import contextvars
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from backbone.database import Database

FRESH = 1.0
"""Seconds for which one look serves every create."""

LOOK = (
    "SELECT clock_timestamp() AS time, provider, region, size_class, runs, p50_seconds, p95_seconds"
    " FROM (SELECT) AS once LEFT JOIN status_projector.estimates ON true"
)

Taken = tuple[int | None, float | None, float | None]
"""How many runs have ended, and the seconds in which half of them and 95 % of them had."""
NOTHING: Taken = (None, None, None)


@dataclass(frozen=True, slots=True)
class Known:
    """What one look found."""

    time: datetime
    at: float
    """The monotonic time once the database's had come, so that :attr:`now` is never ahead of it."""
    taken: Mapping[tuple[str, str, str], Taken]
    """By provider, region and size class."""

    @property
    def age(self) -> float:
        """Seconds since the look."""
        return time.monotonic() - self.at

    @property
    def now(self) -> datetime:
        """The database's time, which all replicas share; behind by the look's way back, a millisecond or less."""
        return self.time + timedelta(seconds=self.age)


class Beforehand:
    """The last look, shared by whoever comes within :data:`FRESH`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: Known | None = None
        self._looking: asyncio.Task[Known] | None = None

    async def known(self) -> Known:
        """The last look where it is fresh, else a new one, whose failure too is shared by all who wait for it.

        Raises :class:`DatabaseUnavailable`.
        """
        if self._known is not None and self._known.age < FRESH:
            return self._known
        if self._looking is None:
            self._looking = asyncio.create_task(self._look(), context=contextvars.Context())
        return await asyncio.shield(self._looking)  # of whose request goes away, only that one's wait ends

    async def _look(self) -> Known:
        try:
            rows = (await self._database.execute(LOOK)).all()
            self._known = Known(rows[0].time, time.monotonic(), {row[1:4]: row[4:] for row in rows})
            return self._known
        finally:
            self._looking = None
