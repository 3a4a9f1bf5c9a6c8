"""A pool of the driver's connections: bounded, and without a task or a timer at each use.

The driver's own pool shields the way back from cancellation, at a price for each use. Nothing is waited for on the way
back here: a connection that may be in the middle of something is closed, every other one is as it was.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, TypeAlias

import asyncpg

from backbone.shares import Line

if TYPE_CHECKING:
    Driver: TypeAlias = asyncpg.Connection[Any]

LIFETIME = 1800.0
"""Seconds after which a connection is closed: what the server keeps for a session grows, and nobody may need it."""


class Pool:
    """At most ``size`` connections, opened once they are needed; the one that came back last is taken first.

    ``patience`` bounds the wait for one, in seconds, with what opening it takes.
    """

    def __init__(
        self, connect: "Callable[[], Awaitable[Driver]]", *, size: int, patience: float, lifetime: float = LIFETIME
    ) -> None:
        self._connect = connect
        self._size = size
        self._patience = patience
        self._lifetime = lifetime
        self._places = Line(size)
        self._idle: list[Driver] = []
        self._ends: dict[Driver, asyncio.TimerHandle] = {}
        """When each connection's time is over; one that is not in here is closed rather than kept."""
        self._closing = False

    @property
    def connections(self) -> int:
        """How many are open."""
        return sum(not each.is_closed() for each in self._ends)

    def at_once(self) -> "Driver | None":
        """A connection that nobody else has until it is given back; None where one has to be waited for."""
        if self._idle and self._places.take():
            if (kept := self._kept()) is not None:
                return kept
            self._places.give()
        return None

    async def take(self) -> "Driver":
        """As :meth:`at_once`, with the wait.

        Raises TimeoutError after ``patience``, what ``connect`` raises, and the driver's InterfaceError while closing.
        """
        if self._closing:
            raise asyncpg.InterfaceError("the pool is closing")
        async with asyncio.timeout(self._patience):
            await self._places.stand(None)
            try:
                return self._kept() or await self._open()
            except BaseException:
                self._places.give()
                raise

    def _kept(self) -> "Driver | None":
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            self._end(connection)
        return None

    async def _open(self) -> "Driver":
        connection = await self._connect()
        loop = asyncio.get_running_loop()
        self._ends[connection] = loop.call_later(self._lifetime, self._retire, connection)
        return connection

    def give_back(self, connection: "Driver", *, sound: bool) -> None:
        """Ends a use. What is lost, not ``sound``, in a transaction still or past its time is closed."""
        if sound and connection in self._ends and not (connection.is_closed() or connection.is_in_transaction()):
            self._idle.append(connection)
        else:
            self._end(connection)
        self._places.give()

    def renew(self) -> None:
        """Closes what nobody uses, and what is in use once it comes back: what they hold prepared is out of date."""
        for connection in list(self._ends):
            self._retire(connection)

    async def close(self) -> None:
        """Refuses new uses, waits for those that go on, and says goodbye on every connection."""
        self._closing = True
        for _ in range(self._size):
            await self._places.stand(None)
        try:
            await asyncio.gather(*(each.close() for each in self._idle))
        finally:
            self.renew()

    def _retire(self, connection: "Driver") -> None:
        if connection in self._idle:
            self._idle.remove(connection)
            self._end(connection)
        else:
            self._ends.pop(connection).cancel()

    def _end(self, connection: "Driver") -> None:
        if timer := self._ends.pop(connection, None):
            timer.cancel()
        connection.terminate()
