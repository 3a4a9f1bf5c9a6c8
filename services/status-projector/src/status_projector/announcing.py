"""StatusChanged for who watches: sent beside the folding, and lost rather than waited for."""

import asyncio
from collections import deque

import structlog
from backbone.broker import BrokerUnavailable, Publisher
from backbone.envelope import Message

from status_projector import metrics

log = structlog.get_logger()

AT_ONCE = 50
"""Messages whose confirms are waited for together."""


class Announcer:
    """Sends what was offered, oldest first; where too much waits, the oldest goes, for its picture is outdated most."""

    def __init__(self, publisher: Publisher, limit: int) -> None:
        self._publisher = publisher
        self._waiting: deque[Message] = deque(maxlen=limit)
        self._some = asyncio.Event()

    def offer(self, message: Message) -> None:
        """Takes a message; never waits."""
        if len(self._waiting) == self._waiting.maxlen:
            metrics.PUSH_DROPPED.inc()
        self._waiting.append(message)
        self._some.set()

    async def run(self) -> None:
        """Sends for as long as the service runs."""
        while True:
            await self._some.wait()
            batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
            if not self._waiting:
                self._some.clear()
            await asyncio.gather(*(self._send(message) for message in batch))

    async def _send(self, message: Message) -> None:
        try:
            await self._publisher.send_transient(message)
        except BrokerUnavailable as error:
            metrics.PUSH_DROPPED.inc()
            log.debug("status_changed.dropped", message_id=message.id, error=str(error))
