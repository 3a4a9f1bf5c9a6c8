"""Subscriptions that find their way back, whatever is lost: the connection, the channel, or the queue."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from aio_pika.abc import AbstractChannel, AbstractConnection
from aiormq.abc import DeliveredMessage, FieldTable
from pamqp.commands import Basic

from backbone import metrics
from backbone.broker import CONNECT_TIMEOUT, connect, disconnect, within
from backbone.deliveries import Acks, Delivery, OnDelivery
from backbone.envelope import EVENTS

log = structlog.get_logger()

WATCH_SECONDS = 5.0


def _handing_over(
    queue: str, handle: OnDelivery, acks: Acks
) -> Callable[[DeliveredMessage], Coroutine[Any, Any, None]]:
    async def hand_over(message: DeliveredMessage) -> None:
        about = message.header.properties or Basic.Properties()
        of_message = message.body, about.content_type, about.message_id, about.headers or {}, message.routing_key
        await handle(Delivery(*of_message, acks, message.delivery_tag or 0, queue))

    return hand_over


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
                async with within(None):
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
        connection = await connect(self._url, f"{self._name} consumer")
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
                begun = await underlay.basic_consume(name, _handing_over(name, handle, acks), no_ack=no_ack)
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
            await disconnect(connection)

    async def _open(self, channel: AbstractChannel, name: str) -> None:
        if self._bind is None:
            await channel.declare_queue(name, passive=True)
            return
        arguments: FieldTable = {"x-max-length": 10_000, "x-overflow": "drop-head"}
        queue = await channel.declare_queue(name, exclusive=True, auto_delete=True, durable=False, arguments=arguments)
        await queue.bind(EVENTS, self._bind)

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
        async with within(CONNECT_TIMEOUT):
            queue = await channel.declare_queue(name, passive=True)
        result = queue.declaration_result
        metrics.QUEUE_DEPTH.labels(name if self._bind is None else "push").set(result.message_count or 0)
        metrics.QUEUE_CONSUMERS.labels(name if self._bind is None else "push").set(result.consumer_count or 0)
        if not result.consumer_count:
            raise ConnectionError(f"nobody consumes {name} any more")
