"""How much this process has in hand in each region, so that a chunk is taken only when it can be worked on.

What was taken waits here for its users' turns; what was not stays where any replica may take it. Nothing here outlives
the process: it is this process's view alone.
"""

import asyncio
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from backbone.shares import Line, Tenant

WAITERS = 64
"""Who may wait for room in a region, where it is the only one without; of several each has its part. Enough to use the
room when it comes, and with eight such regions still too few to hold up what is behind them."""


AWAY = 2.0
"""Seconds for which a ticket that found no room goes away."""


class Capacity:
    """``limit`` users at once per region; a region is full while it has ``ahead`` times as many or more in hand.

    At most ``unrecorded`` more than ``limit`` (as many, if not given) are begun and not recorded yet: whoever takes
    over from a killed process does those once more.

    For a tenant with less than its share of that in hand there is room all the same, one chunk at a time, and its users
    take turns with the others': so nobody waits for the end of another's large chunk.

    Whoever finds no room waits in place for ``patience`` seconds; where many wait already they are sent away at once,
    so that what stands behind them in the queue comes forward. Once ``stopping`` there is no room any more.
    """

    def __init__(
        self,
        limit: int,
        *,
        patience: float,
        ahead: int = 1,
        unrecorded: int | None = None,
        stopping: Callable[[], bool] = lambda: False,
    ) -> None:
        self._patience = patience
        self._full = ahead * limit
        self._in_hand: defaultdict[str, Counter[Tenant]] = defaultdict(Counter)
        self._waiting: defaultdict[str, dict[Tenant, deque[asyncio.Future[None]]]] = defaultdict(dict)
        self._lines: defaultdict[str, Line] = defaultdict(lambda: Line(limit))
        self._unrecorded: defaultdict[str, Line] = defaultdict(lambda: Line(limit + (unrecorded or limit)))
        self._recording: Counter[str] = Counter()
        self._paused_until: dict[str, float] = {}
        self._away_until: dict[str, float] = {}
        self._stopping = stopping

    def has_room(self, region: str, tenant: Tenant) -> bool:
        """For one more chunk of this tenant."""
        in_hand = self._in_hand[region]
        if self._stopping():
            return False
        return in_hand.total() < self._full or in_hand[tenant] * len(in_hand.keys() | {tenant}) < self._full

    async def room(self, region: str, tenant: Tenant, patience: float | None = None) -> bool:
        """Waits for room; False where there is none in time."""
        if self.has_room(region, tenant):
            return True
        if self.is_crowded(region):
            return False
        with suppress(TimeoutError):
            async with asyncio.timeout(self._patience if patience is None else min(patience, self._patience)):
                while not self.has_room(region, tenant):
                    await self._woken(region, tenant)
        return self.has_room(region, tenant)

    def send_away(self, region: str) -> None:
        """A ticket that found no room comes back in a while."""
        self._away_until[region] = time.monotonic() + AWAY

    def is_unused(self, region: str, tenant: Tenant) -> bool:
        """There is room that nobody waits for, while tickets are away that found none: their chunks may be taken."""
        if time.monotonic() > self._away_until.get(region, 0) or any(self._waiting[region].values()):
            return False
        return self.has_room(region, tenant)

    def is_crowded(self, region: str) -> bool:
        """So many wait for room already that nobody else may."""
        waiting = {name: sum(map(len, waiters.values())) for name, waiters in self._waiting.items()}
        others = sum(count > 0 for name, count in waiting.items() if name != region)
        return waiting.get(region, 0) * (1 + others) >= WAITERS

    async def _woken(self, region: str, tenant: Tenant) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting[region].setdefault(tenant, deque())
        waiting.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            with suppress(ValueError):  # woken at the same moment
                waiting.remove(waiter)
            raise

    @contextmanager
    def reserved(self, region: str, tenant: Tenant, users: int) -> Iterator[None]:
        """Holds room for a chunk that is about to be taken, lest all who wait take one at the same moment."""
        self.add(region, tenant, users)
        try:
            yield
        finally:
            self._done(region, tenant, users)

    def add(self, region: str, tenant: Tenant, users: int) -> None:
        """A chunk was taken."""
        self._in_hand[region][tenant] += users

    async def stand(self, region: str, tenant: Tenant) -> None:
        """Returns when it is the turn of one user of a chunk that was added; :meth:`leave` is then to be called."""
        try:
            await self._unrecorded[region].stand(tenant)
            try:
                await self._lines[region].stand(tenant)
            except BaseException:
                self._unrecorded[region].give()
                raise
        except BaseException:
            self._done(region, tenant, 1)
            raise

    def leave(self, region: str, tenant: Tenant) -> None:
        """The end of a user's turn: there is room for another. What came of it is then to be stored, and
        :meth:`recorded` to be called.
        """
        self._lines[region].give()
        self._done(region, tenant, 1)

    def is_held_up(self, region: str) -> bool:
        """Somebody's turn waits until what came of others is recorded, and nothing is being recorded."""
        return len(self._unrecorded[region]) > 0 and not self._recording[region]

    @contextmanager
    def recording(self, region: str) -> Iterator[None]:
        """Something is being recorded, so there will be turns soon."""
        self._recording[region] += 1
        try:
            yield
        finally:
            self._recording[region] -= 1

    def recorded(self, region: str, users: int) -> None:
        """So many who had their turn are not to be done once more, whatever happens to this process."""
        for _ in range(users):
            self._unrecorded[region].give()

    def full(self, besides: str | None = None) -> set[str]:
        """Regions without room; ``besides`` is one in which room is reserved."""
        return {region for region, users in self._in_hand.items() if users.total() >= self._full and region != besides}

    def paused(self) -> set[str]:
        """Regions that refused work a moment ago: an open breaker, maintenance, a rate limit."""
        now = time.monotonic()
        self._paused_until = {region: until for region, until in self._paused_until.items() if until > now}
        return set(self._paused_until)

    def pause(self, region: str, seconds: float) -> None:
        """Prefers other regions for so long."""
        self._paused_until[region] = max(self._paused_until.get(region, 0), time.monotonic() + seconds)

    def _done(self, region: str, tenant: Tenant, users: int) -> None:
        in_hand = self._in_hand[region]
        in_hand[tenant] -= users
        if not in_hand[tenant]:
            del in_hand[tenant]  # who has nothing in hand has no share
        self._wake(region)

    def _wake(self, region: str) -> None:
        """One of those who wait, tenant by tenant in turn, if there is room for one of that tenant."""
        waiting = self._waiting[region]
        for tenant in list(waiting):
            waiters = waiting[tenant]
            while waiters and waiters[0].done():  # its time ran out a moment ago
                waiters.popleft()
            if not waiters:
                del waiting[tenant]
            elif self.has_room(region, tenant):
                waiters.popleft().set_result(None)
                waiting[tenant] = waiting.pop(tenant)
                return
