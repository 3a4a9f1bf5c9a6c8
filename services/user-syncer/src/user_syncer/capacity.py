"""How much this process has in hand in each region, so that a chunk is taken only when it can be worked on.

What was taken stands in line here; what was not stays where every tenant has its turn. Nothing here outlives the
process: it is this process's view alone.
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress

WAITERS = 4
"""Who may wait for room in a slow region: enough to use it when it comes, too few to hold up other regions."""


class Capacity:
    """``limit`` users at once per region; a region is full while it has ``ahead`` times as many or more in hand.

    Whoever finds no room waits in place for ``patience`` seconds. Where that is in vain the region is slow, and for a
    while all but a few are sent away at once, so that what stands behind them comes forward.
    """

    def __init__(self, limit: int, *, patience: float, ahead: int = 1) -> None:
        self._patience = patience
        self._full = ahead * limit
        self._in_hand: Counter[str] = Counter()
        self._waiting: defaultdict[str, deque[asyncio.Future[None]]] = defaultdict(deque)
        self._slots: defaultdict[str, asyncio.Semaphore] = defaultdict(lambda: asyncio.Semaphore(limit))
        self._paused_until: dict[str, float] = {}
        self._slow_until: defaultdict[str, float] = defaultdict(float)

    def has_room(self, region: str) -> bool:
        return self._in_hand[region] < self._full

    async def room(self, region: str) -> bool:
        """Waits for room; False where there is none in time."""
        if self.has_room(region):
            return True
        waiting = self._waiting[region]
        if time.monotonic() < self._slow_until[region] and len(waiting) >= WAITERS:
            return False
        try:
            async with asyncio.timeout(self._patience):
                while not self.has_room(region):
                    waiter = asyncio.get_running_loop().create_future()
                    waiting.append(waiter)
                    await waiter
        except TimeoutError:
            with suppress(ValueError):  # woken at the same moment
                waiting.remove(waiter)
            self._slow_until[region] = time.monotonic() + self._patience
        return self.has_room(region)

    @contextmanager
    def reserved(self, region: str, users: int) -> Iterator[None]:
        """Holds room for a chunk that is about to be taken, lest all who wait take one at the same moment."""
        self.add(region, users)
        try:
            yield
        finally:
            self._done(region, users)

    def add(self, region: str, users: int) -> None:
        """A chunk was taken."""
        self._in_hand[region] += users

    @asynccontextmanager
    async def one_of(self, region: str) -> AsyncIterator[None]:
        """One user's turn of a chunk that was added; at its end there is room for another."""
        try:
            async with self._slots[region]:
                yield
        finally:
            self._done(region, 1)

    def full(self, besides: str | None = None) -> set[str]:
        """Regions without room; ``besides`` is one in which room is reserved."""
        return {region for region, users in self._in_hand.items() if users >= self._full and region != besides}

    def paused(self) -> set[str]:
        """Regions that refused work a moment ago: an open breaker, maintenance, a rate limit."""
        now = time.monotonic()
        self._paused_until = {region: until for region, until in self._paused_until.items() if until > now}
        return set(self._paused_until)

    def pause(self, region: str, seconds: float) -> None:
        """Prefers other regions for so long."""
        self._paused_until[region] = max(self._paused_until.get(region, 0), time.monotonic() + seconds)

    def _done(self, region: str, users: int) -> None:
        self._in_hand[region] -= users
        while self.has_room(region) and self._waiting[region]:
            waiter = self._waiting[region].popleft()
            if not waiter.done():
                waiter.set_result(None)
                break
