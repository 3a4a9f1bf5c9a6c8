"""The only module that talks AMQP: confirmed, mandatory publishes, and subscriptions that find their way back.

Connections are plain ones, opened anew after any loss: what reopens by itself can also stay silent by itself.
Publishing and consuming use separate connections, for a broker short of disk or memory blocks publishers only.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any, cast

import aio_pika
import aiormq
import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aio_pika.exceptions import AMQPException, DeliveryError, PublishError
from aiormq.abc import DeliveredMessage, FieldTable
from aiormq.channel import Channel
from pamqp.commands import Basic

from backbone import metrics
from backbone.deliveries import Acks, Delivery, OnDelivery
from backbone.envelope import Message
from backbone.failpoints import failpoint, failpoint_soon

log = structlog.get_logger()

PERSISTENT = 2
HEARTBEAT = 10
CONNECT_TIMEOUT = 5.0
CONFIRM_TIMEOUT = 10.0
WATCH_SECONDS = 5.0

# Places for what waits for the socket. A batch doesn't fit into ten, which is the library's own number: the eleventh
# message holds the channel's lock until there is a place, and from then on each takes a turn of the loop, which are
# 8 ms of a busy one.
aiormq.Connection.FRAME_BUFFER_SIZE = 1000

_LOST = (AMQPException, aiormq.exceptions.AMQPError, OSError, TimeoutError, RuntimeError, asyncio.InvalidStateError)


class BrokerUnavailable(Exception):
    """Nothing certain is known of the messages: they may have arrived or not, and must be sent again."""


@asynccontextmanager
async def _within(seconds: float | None) -> AsyncIterator[None]:
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


async def _connect(url: str, name: str) -> AbstractConnection:
    async with _within(CONNECT_TIMEOUT):
        return await aio_pika.connect(
            url, heartbeat=HEARTBEAT, timeout=CONNECT_TIMEOUT, client_properties={"connection_name": name}
        )


async def _close(connection: AbstractConnection | None) -> None:
    if connection is None:
        return
    try:
        async with _within(2):
            await connection.close()
    except _LOST as error:
        log.debug("broker.close_failed", error=repr(error))


def _handing_over(handle: OnDelivery, acks: Acks) -> Callable[[DeliveredMessage], Coroutine[Any, Any, None]]:
    async def hand_over(message: DeliveredMessage) -> None:
        about = message.header.properties or Basic.Properties()
        of_message = message.body, about.content_type, about.message_id, about.headers or {}, message.routing_key
        await handle(Delivery(*of_message, acks, message.delivery_tag or 0))

    return hand_over


class Publisher:
    """Publishes with confirms, many in flight at once."""

    def __init__(self, url: str, *, name: str, confirm_timeout: float = CONFIRM_TIMEOUT) -> None:
        self._url = url
        self._name = name
        self._timeout = confirm_timeout
        self._connection: AbstractConnection | None = None
        self._channel: AbstractChannel | None = None
        self._lock = asyncio.Lock()

    async def publish(self, messages: Sequence[Message]) -> list[str]:
        """Sends the messages and returns the ids that the broker has taken.

        One that is refused (queue full) or routes nowhere (broken topology) is logged and not among them. Raises
        :class:`BrokerUnavailable` where the connection is lost or a confirm doesn't come: the channel is dropped then,
        so a late confirm cannot be taken for another message's.
        """
        try:
            async with _within(self._timeout):
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
            async with _within(self._timeout):
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
                await _close(self._connection)
                self._connection = await _connect(self._url, f"{self._name} publisher")
                # Without on_return_raises a message that routes nowhere would count as sent.
                self._channel = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            return cast(Channel, await self._channel.get_underlay_channel())  # whose publish need not wait

    async def close(self) -> None:
        """Drops the connection; the next publish opens a fresh one."""
        connection, self._connection, self._channel = self._connection, None, None
        await _close(connection)


class Subscription:
    """Consumes queues for as long as the service runs, through every loss of connection, channel or queue."""

    def __init__(
        self,
        url: str,
        *,
        name: str,
        queues: dict[str, OnDelivery],
        prefetch: int,
        bind: str | None = None,
        on_consuming: Callable[[], None] | None = None,
    ) -> None:
        """``bind`` makes the one queue this replica's own and short-lived, bound to the events with that key; what it
        brings may be lost and is not acknowledged.

        ``on_consuming`` is called whenever consuming has begun, also after each loss.
        """
        self._url = url
        self._name = name
        self._queues = queues
        self._prefetch = prefetch
        self._bind = bind
        self._on_consuming = on_consuming
        self.consuming = asyncio.Event()
        self._stopping = asyncio.Event()
        self._released = asyncio.Event()

    async def run(self) -> None:
        """Consumes until :meth:`stop`; the connection stays until :meth:`release`, for work in hand to be acked."""
        delay = 0.1
        while not self._stopping.is_set():
            try:
                async with _within(None):
                    await self._consume_until_lost()
                delay = 0.1
            except Exception as error:  # noqa: BLE001 - whatever ended it, a service that no longer consumes is no use
                metrics.RECONNECTS.labels(type(error).__name__).inc()
                log.warning("broker.subscription_lost", queues=list(self._queues), error=repr(error), retry_in=delay)
            finally:
                self.consuming.clear()
                metrics.CONNECTED.set(0)
            if not self._stopping.is_set():
                await asyncio.sleep(delay)
                delay = min(delay * 2, 5.0)

    def stop(self) -> None:
        """No new deliveries from now on."""
        self._stopping.set()

    def release(self) -> None:
        """Nothing more will be acked: the connection may close."""
        self._stopping.set()
        self._released.set()

    async def _consume_until_lost(self) -> None:
        connection = await _connect(self._url, f"{self._name} consumer")
        try:
            channel = await connection.channel(publisher_confirms=False)
            await channel.set_qos(prefetch_count=self._prefetch)
            lost: asyncio.Future[str] = asyncio.get_running_loop().create_future()

            def end(reason: str) -> None:
                if not lost.done():
                    lost.set_result(reason)

            channel.close_callbacks.add(lambda *_: end("the channel was closed"))
            underlay = await channel.get_underlay_channel()
            underlay.on_consumer_cancel_callbacks.add(lambda *_: end("the broker cancelled the consumer"))
            acks, no_ack, tags = Acks(underlay), self._bind is not None, []
            for name, handle in self._queues.items():
                await self._open(channel, name)
                # The library's own queue would wrap each message and each call of ours once more.
                begun = await underlay.basic_consume(name, _handing_over(handle, acks), no_ack=no_ack)
                tags.append(str(begun.consumer_tag))
            self.consuming.set()
            if self._on_consuming:
                self._on_consuming()
            metrics.CONNECTED.set(1)
            log.info("broker.consuming", queues=list(self._queues))
            await self._watch(connection, lost)
            for tag in tags:
                await underlay.basic_cancel(tag)
            await self._released.wait()
            await acks.sent()
        finally:
            await _close(connection)

    async def _open(self, channel: AbstractChannel, name: str) -> None:
        if self._bind is None:
            await channel.declare_queue(name, passive=True)
            return
        arguments: FieldTable = {"x-max-length": 10_000, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, durable=False, arguments=arguments)
        await queue.bind("events", self._bind)

    async def _watch(self, connection: AbstractConnection, lost: "asyncio.Future[str]") -> None:
        """Looks at the queues from beside: a consumer that the broker has dropped would otherwise wait for ever."""
        stopping: asyncio.Future[Any] = asyncio.create_task(self._stopping.wait())
        probe: AbstractChannel | None = None
        try:
            while not self._stopping.is_set():
                await asyncio.wait([stopping, lost], timeout=WATCH_SECONDS, return_when=asyncio.FIRST_COMPLETED)
                if lost.done():
                    raise ConnectionError(lost.result())
                if probe is None or probe.is_closed:
                    probe = await connection.channel(publisher_confirms=False)
                for name in self._queues:
                    await self._probe(probe, name)
        finally:
            stopping.cancel()

    async def _probe(self, channel: AbstractChannel, name: str) -> None:
        async with _within(CONNECT_TIMEOUT):
            queue = await channel.declare_queue(name, passive=True)
        result = queue.declaration_result
        metrics.QUEUE_DEPTH.labels(name if self._bind is None else "push").set(result.message_count or 0)
        metrics.QUEUE_CONSUMERS.labels(name if self._bind is None else "push").set(result.consumer_count or 0)
        if not result.consumer_count:
            raise ConnectionError(f"nobody consumes {name} any more")
