"""What becomes of a delivery in the end: acked, sent to a retry rung, or parked; and the account of what is in hand."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from backbone import metrics, parked, topology
from backbone.broker import BrokerUnavailable, Publisher
from backbone.deliveries import Delivery
from backbone.envelope import Envelope, Message, pack
from backbone.handlers import Handler
from backbone.retries import Retry

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Received:
    """A decoded delivery; the attempt counts from 1."""

    delivery: Delivery
    message_id: str
    attempt: int
    envelopes: Sequence[Envelope]
    handler: Handler
    since: float

    @property
    def type(self) -> str:
        return self.envelopes[0].type


class Settlement:
    """Ends deliveries of one service, each exactly once, and knows how many are still in hand."""

    def __init__(self, service: str, publisher: Publisher, retry_scale: float) -> None:
        self._service = service
        self._publisher = publisher
        self._retry_scale = retry_scale
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """One more delivery is in hand."""
        self._in_hand += 1
        metrics.IN_FLIGHT.set(self._in_hand)
        self._idle.clear()

    def parts(self, received: Received) -> Sequence[Received]:
        """The events of a batch, each to be ended for itself, with tries of its own; its id is the event's."""
        if len(received.envelopes) == 1:
            return [received]
        messages = [replace(pack([each])[0], id=each.id) for each in received.envelopes]
        parts = received.delivery.parts(messages)
        self._in_hand += len(parts) - 1
        metrics.IN_FLIGHT.set(self._in_hand)
        return [
            replace(received, delivery=part, message_id=envelope.id, envelopes=[envelope])
            for part, envelope in zip(parts, received.envelopes, strict=True)
        ]

    async def idle(self) -> None:
        """Returns once nothing is in hand."""
        await self._idle.wait()

    def done(self, received: Received, outcome: str) -> None:
        """Acks what is committed."""
        self._ack(received.delivery)
        self._count(received, outcome)

    async def retry(self, received: Received, retry: Retry) -> None:
        """Sends the message to its rung, confirmed, and then acks it."""
        metrics.RETRIES.labels(received.type, retry.rung).inc()
        delivery = received.delivery
        message = Message(
            routing_key=retry.rung,
            exchange=topology.names(self._service).retry,
            body=delivery.body,
            content_type=delivery.content_type or "",
            headers={
                "attempt": retry.attempt,
                "since": delivery.since,
                "routing-key": delivery.key,
            },
            # Beside the rung's own limit, so that equal failures come back spread, not together.
            expiration_ms=max(1, int(retry.delay * 1000 * self._retry_scale)),
            id=received.message_id,
        )
        await self._replace(delivery, message)
        self._count(received, "retried")

    async def park(self, delivery: Delivery, reason: str, error: str, tries: int) -> None:
        """Sends the message to the parked queue, confirmed, and then acks it."""
        metrics.PARKED.labels(reason).inc()
        await self._replace(delivery, parked.message(self._service, delivery, reason=reason, error=error, tries=tries))

    async def _replace(self, delivery: Delivery, message: Message) -> None:
        delay = 0.2
        while True:
            try:
                if await self._publisher.publish([message]):
                    break
            except BrokerUnavailable as error:
                log.warning("message.settling_delayed", error=str(error))
            if delivery.is_lost:
                break  # the broker delivers it again, so nothing is lost by letting go
            await asyncio.sleep(delay)
            delay = min(2 * delay, 5.0)
        self._ack(delivery)

    def _ack(self, delivery: Delivery) -> None:
        delivery.ack()
        self._in_hand -= 1
        metrics.IN_FLIGHT.set(self._in_hand)
        if self._in_hand == 0:
            self._idle.set()

    def _count(self, received: Received, outcome: str) -> None:
        metrics.HANDLED.labels(received.type, outcome).inc()
        metrics.HANDLING.labels(received.type).observe(time.monotonic() - received.since)
