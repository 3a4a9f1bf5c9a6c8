"""Connections to the broker, and publishing on them: confirmed, mandatory, many at once.

This module and :mod:`backbone.subscription` alone talk AMQP. Connections are plain ones, opened anew after any loss:
what reopens by itself can also stay silent by itself. Publishing and consuming use separate connections, for a broker
short of disk or memory blocks publishers only.
"""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import cast

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPException, DeliveryError, PublishError
from aiormq.channel import Channel
from pamqp.commands import Basic

from backbone.envelope import Message
from backbone.failpoints import failpoint, failpoint_soon

log = structlog.get_logger()

PERSISTENT = 2
HEARTBEAT = 10
CONNECT_TIMEOUT = 5.0
CONFIRM_TIMEOUT = 10.0

# Places for what waits for the socket. A batch doesn't fit into ten, which is the library's own number: the eleventh
# message holds the channel's lock until there is a place, and from then on each takes a turn of a busy loop.
aiormq.Connection.FRAME_BUFFER_SIZE = 1000

_LOST = (AMQPException, aiormq.exceptions.AMQPError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)


class BrokerUnavailable(Exception):
    """Nothing certain is known of the messages: they may have arrived or not, and must be sent again."""


@asynccontextmanager
async def within(seconds: float | None) -> AsyncIterator[None]:
    """A time limit for calls of the library; raises TimeoutError, and ConnectionError where the library loses its head.

    When a connection dies at a bad moment it may cancel a call or end it as if it were a loop. Such an exception, taken
    for a cancellation of ours or for none of the known ones, would end the very task that is there to connect again.
    """
    try:
        async with asyncio.timeout(seconds):
            yield
    except StopAsyncIteration as error:
        raise ConnectionError("the server hung up before its first word") from error
    except asyncio.CancelledError as error:
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        raise ConnectionError("the connection died under a call") from error


async def connect(url: str, name: str) -> AbstractConnection:
    """A connection that the broker lists under ``name``. Raises what a lost one does, within 5 s."""
    async with within(CONNECT_TIMEOUT):
        return await aio_pika.connect(
            url, heartbeat=HEARTBEAT, timeout=CONNECT_TIMEOUT, client_properties={"connection_name": name}
        )


async def disconnect(connection: AbstractConnection | None) -> None:
    """Closes it, in 2 s at most; one that is lost already is no error."""
    if connection is None:
        return
    try:
        async with within(2):
            await connection.close()
    except _LOST as error:
        log.debug("broker.close_failed", error=repr(error))


class Publisher:
    """Publishes with confirms, many in flight at once."""

    def __init__(self, url: str, *, name: str, confirm_timeout: float = CONFIRM_TIMEOUT) -> None:
        self._url = url
        self._name = name
        self._timeout = confirm_timeout
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()
        self._in_flight: set[str] = set()

    async def publish(self, messages: Sequence[Message]) -> list[str]:
        """Sends the messages and returns the ids that the broker has taken.

        One that is refused (queue full) or routes nowhere (broken topology) is logged and not among them. Raises
        :class:`BrokerUnavailable` where the connection is lost or a confirm doesn't come: the channel is dropped then,
        so a late confirm cannot be taken for another message's. What another call has in flight is not sent and not
        among them: the library finds a returned message by its id, and would charge the wrong copy.
        """
        ours = [each for each in messages if each.id not in self._in_flight]
        ids = {each.id for each in ours}
        self._in_flight |= ids
        try:
            return await self._publish(ours)
        finally:
            self._in_flight -= ids

    async def _publish(self, messages: Sequence[Message]) -> list[str]:
        try:
            async with within(self._timeout):
                channel = await self._open()
                failpoint_soon("before_confirm")
                results = await asyncio.gather(
                    *(self._send(channel, each) for each in messages), return_exceptions=True
                )
        except _LOST as error:
            await self.close()
            raise BrokerUnavailable(repr(error)) from error
        failpoint("after_confirm")
        confirmed = [m.id for m, result in zip(messages, results, strict=True) if not isinstance(result, BaseException)]
        await self._report(messages, results, bool(confirmed))
        return confirmed

    async def _report(
        self, messages: Sequence[Message], results: Sequence[BaseException | None], any_confirmed: bool
    ) -> None:
        """Names each refusal; drops a channel that lost confirms, and raises where it lost all of them."""
        lost: list[BaseException] = []
        for message, result in zip(messages, results, strict=True):
            if isinstance(result, DeliveryError | PublishError):
                log.error("broker.publish_refused", routing_key=message.routing_key, id=message.id, error=repr(result))
            elif result is not None:
                lost.append(result)
        if lost:
            await self.close()
            log.warning("broker.publish_interrupted", messages=len(messages), lost=len(lost), error=repr(lost[0]))
            if not any_confirmed:
                raise BrokerUnavailable(repr(lost[0])) from lost[0]

    async def _send(self, channel: Channel, message: Message) -> None:
        await channel.basic_publish(
            message.body,
            exchange=message.exchange,
            routing_key=message.routing_key,
            properties=Basic.Properties(
                message_id=message.id,
                content_type=message.content_type,
                headers=dict(message.headers),
                delivery_mode=PERSISTENT,
                expiration=None if message.expiration_ms is None else str(message.expiration_ms),
            ),
            mandatory=True,
            wait=False,  # else each message waits for the one before to leave: some turns of a busy loop for every one
        )

    async def send_transient(self, message: Message) -> None:
        """Sends one message that nobody need receive, unconfirmed. Raises :class:`BrokerUnavailable`."""
        try:
            async with within(self._timeout):
                channel = await self._open()
                await channel.basic_publish(
                    message.body,
                    exchange=message.exchange,
                    routing_key=message.routing_key,
                    properties=Basic.Properties(message_id=message.id, content_type=message.content_type),
                    wait=False,
                )
        except _LOST as error:
            await self.close()
            raise BrokerUnavailable(repr(error)) from error

    async def _open(self) -> Channel:
        async with self._lock:
            if self._channel is None or self._channel.is_closed:
                await disconnect(self._connection)
                self._connection = await connect(self._url, f"{self._name} publisher")
                # Without on_return_raises a message that routes nowhere would count as sent.
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return cast(Channel, await self._channel.get_underlay_channel())  # whose publish need not wait

    async def close(self) -> None:
        """Drops the connection; the next publish opens a fresh one."""
        connection, self._connection, self._channel = self._connection, None, None
        await disconnect(connection)
