"""News of projects that moved, for whoever waits on this replica: long polls and sockets.

The news may be lost (a broker that is away, a queue that overflows), so nobody waits for it alone: without a broker
waiters look every second, and with one now and then all the same.
"""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime

import structlog
from backbone import topology
from backbone.deliveries import Delivery
from backbone.envelope import Undecodable, unpack
from backbone.subscription import Subscription
from contracts.events import StatusChanged

log = structlog.get_logger()

LOOK_SECONDS = 5.0
"""A waiter looks this often though the broker is there: a command on another replica sends no news of its own."""

LOOK_SECONDS_ALONE = 1.0
PREFETCH = 500

Listener = Callable[[StatusChanged, datetime], None]
"""Takes a change and when it was committed; it must neither block nor raise."""


class Watch:
    """One waiter's view of one project; it misses nothing from the moment on at which it was opened."""

    def __init__(self, changes: "Changes") -> None:
        self._changes = changes
        self._moved = asyncio.Event()

    def notify(self) -> None:
        """Something moved."""
        self._moved.set()

    async def next(self, seconds: float) -> None:
        """Returns after a change, or when it is time to look again, at the latest after ``seconds``."""
        pause = LOOK_SECONDS if self._changes.connected else LOOK_SECONDS_ALONE
        try:
            async with asyncio.timeout(min(seconds, pause)):
                await self._moved.wait()
        except TimeoutError:
            return
        self._moved.clear()


class Changes:
    """Fed by this replica's own queue of StatusChanged."""

    def __init__(self, amqp_url: str, *, service: str, instance: str) -> None:
        self._watches: dict[str, set[Watch]] = {}
        self._listeners: list[Listener] = []
        self._on_connected: list[Callable[[], None]] = []
        self._subscription = Subscription(
            amqp_url,
            name=f"{service}-push",
            queues={topology.push_queue(service, instance): self.receive},
            prefetch=PREFETCH,
            bind=StatusChanged.routing_key,
            on_consuming=self._look_again,
        )

    @property
    def connected(self) -> bool:
        """False while news cannot arrive."""
        return self._subscription.consuming.is_set()

    @property
    def consuming(self) -> asyncio.Event:
        """Set while news can arrive; what was sent in between is lost, so look again whenever it is set anew."""
        return self._subscription.consuming

    async def run(self) -> None:
        """Takes news in for as long as the service runs."""
        await self._subscription.run()

    def stop(self) -> None:
        """No further news."""
        self._subscription.release()

    def listen(self, listener: Listener, on_connected: Callable[[], None]) -> None:
        """Each StatusChanged from now on; ``on_connected`` is for what was lost before news could arrive (again)."""
        self._listeners.append(listener)
        self._on_connected.append(on_connected)

    @contextmanager
    def watch(self, identifier: str) -> Iterator[Watch]:
        """Open it before reading what is to be waited on, so that no change falls in between."""
        watch = Watch(self)
        watches = self._watches.setdefault(identifier, set())
        watches.add(watch)
        try:
            yield watch
        finally:
            watches.discard(watch)
            if not watches:
                self._watches.pop(identifier, None)

    def notify(self, identifier: str) -> None:
        """Wakes who waits for this project."""
        for watch in self._watches.get(identifier, ()):
            watch.notify()

    def tell(self, event: StatusChanged, committed_at: datetime) -> None:
        """Hands one piece of news to everybody here."""
        self.notify(event.identifier)
        for listener in self._listeners:
            listener(event, committed_at)

    def _look_again(self) -> None:
        for watches in self._watches.values():
            for watch in watches:
                watch.notify()
        for call in self._on_connected:
            call()

    async def receive(self, delivery: Delivery) -> None:
        """Takes one message of the queue in; one that makes no sense is dropped, for polling is the truth."""
        try:
            envelopes = unpack(delivery.body, delivery.content_type, {StatusChanged.__name__: StatusChanged})
        except Undecodable as error:
            log.warning("changes.undecodable", reason=error.code)
            envelopes = []
        for envelope in envelopes:
            self.tell(envelope.data, envelope.time)
