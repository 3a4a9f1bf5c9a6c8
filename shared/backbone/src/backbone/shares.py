"""Shares a replica's hands fairly: a slow region holds up no other region, and a tenant's flood no other tenant."""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from backbone.retries import Snooze

Tenant = int | None
"""Projects of no tenant stand together, as one more."""


class Shares:
    """``places`` projects of one region are worked on at once; for the others' turn see :class:`Line`.

    Once somebody has stood in a region's line for ``patience`` seconds the region is slow, until its line has come to
    an end. In all lines of slow regions together at most ``standing`` may stand: whoever is one too many goes back to
    the queue, the latest of the tenant with the most, so that those of other regions and tenants come forward. It comes
    again after ``patience``. A line that moves quickly is as long as it likes, for places would lie idle meanwhile.
    """

    def __init__(self, places: int, standing: int, patience: float = 5.0) -> None:
        self._standing = standing
        self._patience = patience
        self._lines: defaultdict[str, Line] = defaultdict(lambda: Line(places))

    @asynccontextmanager
    async def place(self, region: str, tenant: Tenant) -> AsyncIterator[None]:
        """A place in the region's share, when it is the tenant's turn. Raises Snooze where too many stand in line."""
        line = self._lines[region]
        if not line.take():
            await self._stand(line, tenant)
        try:
            yield
        finally:
            line.give()

    async def _stand(self, line: "Line", tenant: Tenant) -> None:
        standing = line.join(tenant)
        self._shorten()
        timer = asyncio.get_running_loop().call_later(self._patience, self._slow, line, standing)
        try:
            await line.wait(tenant, standing)
        finally:
            timer.cancel()

    def _slow(self, line: "Line", standing: "asyncio.Future[None]") -> None:
        if not standing.done():
            line.is_slow = True
            self._shorten()

    def _shorten(self) -> None:
        slow = [line for line in self._lines.values() if line.is_slow]
        for _ in range(sum(map(len, slow)) - self._standing):
            line = max(slow, key=lambda each: (each.most, len(each)))
            line.send_back(Snooze("the region is slow, and many stand in line", self._patience))


class Line:
    """One region's places, and who stands in line for them. A free place is the next tenant's whose turn it is; of one
    tenant's the first to come is the first to be served."""

    def __init__(self, places: int) -> None:
        self.is_slow = False
        self._free = places
        self._turns: dict[Tenant, deque[asyncio.Future[None]]] = {}
        """Those who stand here, by tenant; the first tenant's turn is next."""

    def __len__(self) -> int:
        return sum(map(len, self._turns.values()))

    @property
    def most(self) -> int:
        """Of one tenant."""
        return max(map(len, self._turns.values()), default=0)

    def take(self) -> bool:
        """A place, where one is free; nobody stands in line then."""
        if not self._free:
            return False
        self._free -= 1
        return True

    async def stand(self, tenant: Tenant) -> None:
        """Returns with a place. Raises the Snooze that sent it back; who is cancelled takes no place along."""
        if not self.take():
            await self.wait(tenant, self.join(tenant))

    def give(self) -> None:
        """A place back, and on to the next in line."""
        while self._turns:
            tenant = next(iter(self._turns))
            standing = self._turns.pop(tenant)
            first = standing.popleft()
            if standing:
                self._turns[tenant] = standing
            if not first.done():  # else it was cancelled a moment ago, and is about to leave
                first.set_result(None)
                return
        self._free += 1
        self.is_slow = False

    def join(self, tenant: Tenant) -> "asyncio.Future[None]":
        """Done with the place that it was given, or with the Snooze that sent it back."""
        standing: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._turns.setdefault(tenant, deque()).append(standing)
        return standing

    async def wait(self, tenant: Tenant, standing: "asyncio.Future[None]") -> None:
        """Returns with a place. Raises the Snooze that sent it back; who is cancelled takes no place along."""
        try:
            await standing
        except asyncio.CancelledError:
            self._leave(tenant, standing)
            raise

    def _leave(self, tenant: Tenant, standing: "asyncio.Future[None]") -> None:
        """For one that was cancelled: leaves the line, or gives the place back that it had just been given."""
        if not standing.cancelled():
            if standing.exception() is None:
                self.give()
        elif standing in self._turns.get(tenant, ()):
            self._remove(tenant, standing)

    def send_back(self, snooze: Snooze) -> None:
        """The latest of the tenant with the most; of several such, of the one whose turn is last."""
        tenant = max(reversed(self._turns), key=lambda each: len(self._turns[each]))
        latest = self._turns[tenant][-1]
        self._remove(tenant, latest)
        if not latest.done():
            latest.set_exception(snooze)

    def _remove(self, tenant: Tenant, standing: "asyncio.Future[None]") -> None:
        self._turns[tenant].remove(standing)
        if not self._turns[tenant]:
            del self._turns[tenant]
