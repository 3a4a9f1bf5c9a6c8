"""Keeps a slow region from holding up the others: no region has more than its share of a replica's hands."""

import asyncio
import time
from collections import defaultdict
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backbone.retries import Snooze


class Shares:
    """``most`` links of one region are worked on at once.

    Others wait in place for ``patience`` seconds. Where that is in vain the region is slow: they go back to the queue
    then, and for as long again whoever finds no place does so at once, so that links of other regions come forward.
    """

    def __init__(self, most: int, patience: float = 5.0) -> None:
        self._places: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(most))
        self._patience = patience
        self._slow_until: defaultdict[str, float] = defaultdict(float)

    @asynccontextmanager
    async def place(self, region: str) -> AsyncIterator[None]:
        """A place in the region's share. Raises Snooze where there is none in time."""
        places = self._places[region]
        is_slow = time.monotonic() < self._slow_until[region]
        if places.locked() and is_slow:
            raise Snooze("the region is slow", self._patience)
        try:
            async with asyncio.timeout(self._patience):
                await places.acquire()
        except TimeoutError:
            self._slow_until[region] = time.monotonic() + self._patience
            raise Snooze("the region is slow", self._patience) from None
        try:
            yield
        finally:
            places.release()
