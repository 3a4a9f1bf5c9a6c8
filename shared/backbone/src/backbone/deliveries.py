"""What a consumer gets of the broker: a message, and the way to say that it is done."""

import asyncio
import contextvars
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol

import structlog

from backbone import topology
from backbone.envelope import Message

log = structlog.get_logger()

MOST_TRIES = 10_000
"""What a header may count at most: a table's column and a wire's number hold it, and sums of it."""


class Channel(Protocol):
    """What of a channel acks need."""

    @property
    def is_closed(self) -> bool: ...

    def basic_ack(self, delivery_tag: int, multiple: bool = ..., wait: bool = ...) -> Awaitable[None]: ...


class Acks:
    """Tells the broker what is done: in one frame all up to a delivery before which nothing is in hand any more.

    A channel's tags count from 1 without a gap, over all its queues.
    """

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._done: set[int] = set()
        self._through = 0
        """Everything up to here is acknowledged, and beyond it what is in ``_beyond``."""
        self._beyond: set[int] = set()
        self._sending: asyncio.Task[None] | None = None

    @property
    def is_lost(self) -> bool:
        return self._channel.is_closed

    def done(self, tag: int) -> None:
        """Its ack leaves with those of whatever else is done in this turn of the loop."""
        self._done.add(tag)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send(), context=contextvars.Context())

    async def sent(self) -> None:
        """Returns once every ack so far has left, or is known to be in vain."""
        if self._sending is not None:
            await self._sending

    async def _send(self) -> None:
        try:
            await asyncio.sleep(0)
            while self._done:
                for tag, multiple in self._frames():
                    await self._channel.basic_ack(tag, multiple=multiple, wait=False)
        except Exception as error:  # noqa: BLE001 - whatever the channel's end raises: committed work comes again and is known
            log.info("message.ack_failed", error=repr(error))
        finally:
            self._sending = None

    def _frames(self) -> list[tuple[int, bool]]:
        """Tags to be acknowledged, and whether with all before them. A tag must not be acknowledged twice."""
        done, self._done = self._done, set()
        self._beyond |= done
        while self._through + 1 in self._beyond:
            self._through += 1
            self._beyond.remove(self._through)
        through = max((tag for tag in done if tag <= self._through), default=None)
        alone = [(tag, False) for tag in sorted(done) if tag > self._through]
        return alone if through is None else [(through, True), *alone]


class Ending(Protocol):
    """Where a delivery says that it is done."""

    @property
    def is_lost(self) -> bool: ...

    def done(self, tag: int) -> None: ...


@dataclass(slots=True)
class Delivery:
    """A message that was delivered; it comes again unless it is acknowledged."""

    body: bytes
    content_type: str | None
    message_id: str | None
    headers: Mapping[str, Any]
    routing_key: str | None
    ending: Ending
    tag: int
    """The channel's number for it."""
    queue: str = ""
    """Of ours, that brought it."""

    @property
    def is_lost(self) -> bool:
        """The broker delivers it again, whatever becomes of it here."""
        return self.ending.is_lost

    @property
    def key(self) -> str | None:
        """The routing key that the broker let it be said with.

        What comes back from a rung bears our work queue's own name, which the broker lets no service say, and that key
        in a header of ours; so does what a person has put back into our work queue or our parked one. In what comes
        straight from another service the header is whatever that service likes. ``None`` where nothing tells.
        """
        own = topology.names(self.queue.rpartition(".")[0])
        is_ours = self.routing_key in (own.work, own.parked)
        return (self.headers.get("routing-key") or None) if is_ours else self.routing_key

    def count(self, header: str) -> int:
        """The tries that a header of ours tells of, at least 1 and never more than fits, whoever wrote it."""
        value = self.headers.get(header)
        return min(max(value, 1), MOST_TRIES) if isinstance(value, int) else 1

    @property
    def since(self) -> int:
        """When it was first sent to wait, in Unix time; now, if it never was."""
        value = self.headers.get("since")
        return value if isinstance(value, int) else int(time.time())

    def ack(self) -> None:
        """Nothing is left to be done about it. An ack that doesn't arrive is logged, and the message comes again."""
        self.ending.done(self.tag)

    def parts(self, messages: Sequence[Message]) -> Sequence["Delivery"]:
        """A delivery of each message that this one is made of; it is acknowledged with the last of them."""
        ending = _Parts(self, len(messages))
        return [
            replace(self, body=each.body, content_type=each.content_type, message_id=each.id, ending=ending)
            for each in messages
        ]


class _Parts:
    """Acknowledges a delivery once all its parts are."""

    def __init__(self, whole: Delivery, parts: int) -> None:
        self._whole = whole
        self._left = parts

    @property
    def is_lost(self) -> bool:
        return self._whole.is_lost

    def done(self, _: int) -> None:
        self._left -= 1
        if not self._left:
            self._whole.ack()


OnDelivery = Callable[[Delivery], Awaitable[None]]
