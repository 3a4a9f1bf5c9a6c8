"""From a delivery to its ack: decode, claim, handle, store the consequences, commit, ack.

Handlers that only write the database share one transaction with every other delivery that is waiting. Handlers that
call out run side by side, each with transactions of its own. No handler sees an ack, a header, the outbox or a
correlation.
"""

import asyncio
import inspect
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any
from uuid import UUID

import structlog

from backbone import inbox, metrics, parked, topology, tracing
from backbone.broker import BrokerUnavailable, Delivery, Publisher
from backbone.context import Context, current
from backbone.database import Database, DatabaseUnavailable, Transaction
from backbone.envelope import Envelope, Fact, Message, Undecodable, pack, unpack
from backbone.failpoints import failpoint
from backbone.retries import RUNGS, GiveUp, Retry, Snooze, Wait, decide

log = structlog.get_logger()

GROUP = 100
"""Deliveries that share one transaction at most."""

Handling = Callable[..., Awaitable[Sequence[Fact] | None]]
Answering = Callable[..., Awaitable[Sequence[Fact]]]


@dataclass(frozen=True)
class Handler:
    """A handler ``async def verb(event, *, tx, …)`` that writes only the database: one transaction with the inbox row
    and the events that it returns. ``on_give_up(event, failure, *, tx, …)`` answers for tries that are used up,
    ``on_wait(event, wait, *, tx, …)`` tells of a failed try that will be made again; a Snooze is told to nobody."""

    call: Handling
    on_give_up: Answering | None = None
    on_wait: Answering | None = None


@dataclass(frozen=True)
class CallingOut(Handler):
    """A handler ``async def verb(event, *, work, …)`` that calls something outside. It holds no transaction meanwhile:
    it opens what it needs with ``work.begin()`` and ends with ``work.finish()``, and may run twice. A batch is taken
    apart first: each event becomes a message of its own, with tries of its own, which any replica may take."""


@dataclass(frozen=True)
class Folding(Handler):
    """A handler ``async def verb(envelopes, *, tx, …)`` that takes all waiting events of its types in one call."""


Handlers = Mapping[type[Any], Handler]


class AlreadyHandled(Exception):
    """Another delivery of this message was committed first; what was done outside was done twice, harmlessly."""


class Work:
    """The transactions of one delivery to a handler that calls out."""

    def __init__(self, database: Database, message_id: str, *, attempt: int) -> None:
        self._database = database
        self._message_id = message_id
        self.attempt = attempt
        self.finished = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction before or between calls outside: to commit an intent, or to look something up."""
        async with self._database.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[Transaction]:
        """The last transaction: claims the message, and carries result and events. Raises :class:`AlreadyHandled`."""
        async with self._database.transaction() as tx:
            if not await inbox.claim(tx, [self._message_id]):
                raise AlreadyHandled(self._message_id)
            yield tx
        self.finished = True


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


class Consumer:
    """Takes deliveries of one service's work queue through its table of handlers."""

    def __init__(
        self,
        service: str,
        handlers: Handlers,
        database: Database,
        publisher: Publisher,
        *,
        dependencies: Mapping[str, Any] | None = None,
        concurrency: int = 32,
        max_tries: int = 3,
        retry_scale: float = 1.0,
    ) -> None:
        self._service = service
        self._handlers = {**handlers, **{kind: Handler(call) for kind, call in parked.COMMANDS.items()}}
        self._types = {kind.__name__: kind for kind in self._handlers}
        self._database = database
        self._publisher = publisher
        self._dependencies = {"service": service, "database": database, **(dependencies or {})}
        self._names = {h.call: _wanted(h.call, self._dependencies) for h in self._handlers.values()}
        answers = {call for h in self._handlers.values() for call in (h.on_give_up, h.on_wait) if call}
        self._names |= {call: _wanted(call, self._dependencies) for call in answers}
        self._max_tries = max_tries
        self._retry_scale = retry_scale
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting: asyncio.Queue[Received] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()
        self._in_hand = 0
        self._idle = asyncio.Event()
        self._idle.set()

    async def receive(self, delivery: Delivery) -> None:
        """Takes one delivery in; what cannot be understood is parked at once."""
        self._begin()
        try:
            received = self._decode(delivery)
        except Undecodable as error:
            log.error("message.undecodable", message_id=delivery.message_id, reason=error.code, error=str(error))
            await self._settle(self._park(delivery, error.code, str(error), tries=1), delivery)
            return
        metrics.AGE.labels(received.type).observe(time.time() - received.envelopes[0].time.timestamp())
        if isinstance(received.handler, CallingOut) and len(received.envelopes) == 1:
            task = asyncio.create_task(self._run_calling_out(received))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        else:
            self._waiting.put_nowait(received)

    async def run(self) -> None:
        """Handles what waits, group by group, for as long as the service runs."""
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            await self._handle_group(group)

    async def drained(self) -> None:
        """Returns once nothing is in hand."""
        await self._idle.wait()

    # --- decoding

    def _decode(self, delivery: Delivery) -> Received:
        if delivery.message_id is None:
            raise Undecodable("no_message_id", "the message has no id, so a repeat could not be told from a new one")
        try:
            message_id = str(UUID(delivery.message_id))
        except ValueError as error:
            raise Undecodable("bad_message_id", "the message's id is no UUID") from error
        envelopes = unpack(delivery.body, delivery.content_type, self._types)
        handlers = {self._handlers[type(envelope.data)] for envelope in envelopes}
        if len(handlers) > 1:
            raise Undecodable("mixed_batch", "a batch must hold events of one handler")
        attempt = delivery.headers.get("attempt", 1)
        return Received(
            delivery,
            message_id,
            attempt if isinstance(attempt, int) else 1,
            envelopes,
            handlers.pop(),
            time.monotonic(),
        )

    # --- database handlers: a group in one transaction

    async def _handle_group(self, group: list[Received]) -> None:
        try:
            async with self._database.transaction() as tx:
                fresh = await inbox.claim(tx, [each.message_id for each in group])
                todo = [each for each in group if each.message_id in fresh]
                for handler in dict.fromkeys(each.handler for each in todo):
                    await self._call(handler, [each for each in todo if each.handler is handler], tx)
        except DatabaseUnavailable as error:
            log.warning("database.unavailable", error=str(error), messages=len(group))
            await self._database.wait_until_available()
            await self._handle_group(group)
            return
        except Exception as error:  # noqa: BLE001 - whatever it is, each message of the group gets its verdict
            await self._group_failed(group, error)
            return
        failpoint("before_ack")
        for each in group:
            await self._done(each, "handled" if each in todo else "repeated")

    async def _call(self, handler: Handler, group: Sequence[Received], tx: Transaction) -> None:
        envelopes = [envelope for each in group for envelope in each.envelopes]
        if isinstance(handler, Folding):
            tx.emit(*(await handler.call(envelopes, tx=tx, **self._given(handler.call)) or ()))
            return
        if isinstance(handler, CallingOut):
            for envelope in envelopes:
                tx.send(self._alone(envelope))
            return
        for envelope in envelopes:
            with _caused_by(envelope):
                tx.emit(*(await handler.call(envelope.data, tx=tx, **self._given(handler.call)) or ()))

    def _alone(self, envelope: Envelope) -> Message:
        """One event of a batch, back to this service's queue alone; by its id a second taking apart is recognised."""
        message = pack([envelope])[0]
        return replace(
            message,
            exchange=topology.names(self._service).retry,
            routing_key=next(iter(RUNGS)),
            headers={"routing-key": message.routing_key},
            expiration_ms=1,
            id=envelope.id,
        )

    async def _group_failed(self, group: list[Received], error: Exception) -> None:
        if len(group) > 1:
            for each in group:
                await self._handle_group([each])
        else:
            await self._failed(group[0], error)

    # --- handlers that call out: one task each

    async def _run_calling_out(self, received: Received) -> None:
        async with self._slots:
            while True:
                try:
                    await self._call_out(received)
                except AlreadyHandled:
                    await self._done(received, "repeated")
                except DatabaseUnavailable as error:
                    log.warning("database.unavailable", error=str(error), messages=1)
                    await self._database.wait_until_available()
                    continue
                except Exception as error:  # noqa: BLE001 - whatever it is, the message gets its verdict
                    await self._failed(received, error)
                else:
                    failpoint("before_ack")
                    await self._done(received, "handled")
                return

    async def _call_out(self, received: Received) -> None:
        call, (envelope,) = received.handler.call, received.envelopes
        work = Work(self._database, received.message_id, attempt=received.attempt)
        with _caused_by(envelope):
            await call(envelope.data, work=work, **self._given(call))
            if not work.finished:
                async with work.finish():
                    log.debug("message.nothing_to_do", type=envelope.type)

    # --- what follows a failure

    async def _failed(self, received: Received, error: Exception) -> None:
        verdict = decide(received.attempt, error, max_tries=self._max_tries, jitter=random.random())  # noqa: S311
        with _caused_by(received.envelopes[0]):
            log.warning(
                "message.failed",
                type=received.type,
                attempt=received.attempt,
                verdict=type(verdict).__name__,
                error=repr(error),
            )
            if isinstance(verdict, Retry):
                await self._tell_of_wait(received, error, verdict)
                await self._settle(self._send_to_rung(received, verdict), received.delivery)
                self._count(received, "retried")
            elif verdict.expected and received.handler.on_give_up:
                await self._give_up(received, verdict)
            else:
                log.error("message.parked", type=received.type, error=repr(error), exc_info=error)
                await self._settle(
                    self._park(received.delivery, verdict.code, verdict.message, tries=verdict.tries), received.delivery
                )
                self._count(received, "parked")

    async def _tell_of_wait(self, received: Received, error: Exception, retry: Retry) -> None:
        tell = received.handler.on_wait
        if tell is None or isinstance(error, Snooze):
            return
        wait = Wait(error, retry.delay * self._retry_scale, retry.attempt, self._max_tries)
        try:
            async with self._database.transaction() as tx:
                for envelope in received.envelopes:
                    tx.emit(*await tell(envelope.data, wait, tx=tx, **self._given(tell)))
        except DatabaseUnavailable:
            await self._database.wait_until_available()
            await self._tell_of_wait(received, error, retry)
        except Exception:
            # The retry matters more than the word of it.
            log.exception("message.wait_untold", type=received.type)

    async def _give_up(self, received: Received, failure: GiveUp) -> None:
        answer = received.handler.on_give_up
        assert answer is not None  # noqa: S101 - the caller has looked
        try:
            async with self._database.transaction() as tx:
                if await inbox.claim(tx, [received.message_id]):
                    for envelope in received.envelopes:
                        tx.emit(*await answer(envelope.data, failure, tx=tx, **self._given(answer)))
        except DatabaseUnavailable:
            await self._database.wait_until_available()
            await self._give_up(received, failure)
            return
        except Exception as error:
            log.error("message.parked", type=received.type, error=repr(error), exc_info=error)
            await self._settle(
                self._park(received.delivery, "give_up_failed", repr(error), failure.tries), received.delivery
            )
            return
        await self._done(received, "given_up")

    def _send_to_rung(self, received: Received, retry: Retry) -> Message:
        delivery = received.delivery
        metrics.RETRIES.labels(received.type, retry.rung).inc()
        return Message(
            routing_key=retry.rung,
            exchange=topology.names(self._service).retry,
            body=delivery.body,
            content_type=delivery.content_type or "",
            headers={
                "attempt": retry.attempt,
                "routing-key": delivery.headers.get("routing-key", delivery.routing_key),
            },
            # Beside the rung's own limit, so that equal failures come back spread, not together.
            expiration_ms=max(1, int(retry.delay * 1000 * self._retry_scale)),
            id=received.message_id,
        )

    def _park(self, delivery: Delivery, reason: str, error: str, tries: int) -> Message:
        metrics.PARKED.labels(reason).inc()
        return parked.message(self._service, delivery, reason=reason, error=error, tries=tries)

    async def _settle(self, message: Message, delivery: Delivery) -> None:
        """Publishes what becomes of a delivery, confirmed, and only then acks it."""
        delay = 0.2
        while True:
            try:
                if await self._publisher.publish([message]):
                    break
            except BrokerUnavailable as error:
                log.warning("message.settling_delayed", error=str(error))
            if delivery.channel.is_closed:
                break  # the broker delivers it again, so nothing is lost by letting go
            await asyncio.sleep(delay)
            delay = min(2 * delay, 5.0)
        await self._ack(delivery)
        self._end()

    # --- acks and accounts

    async def _done(self, received: Received, outcome: str) -> None:
        await self._ack(received.delivery)
        self._count(received, outcome)
        self._end()

    async def _ack(self, delivery: Delivery) -> None:
        try:
            await delivery.ack()
        except Exception as error:  # noqa: BLE001 - whatever the channel's end raises: committed work comes again and is known
            log.info("message.ack_failed", message_id=delivery.message_id, error=repr(error))

    def _given(self, call: Callable[..., Any]) -> dict[str, Any]:
        return {name: self._dependencies[name] for name in self._names[call]}

    def _count(self, received: Received, outcome: str) -> None:
        metrics.HANDLED.labels(received.type, outcome).inc()
        metrics.HANDLING.labels(received.type).observe(time.monotonic() - received.since)

    def _begin(self) -> None:
        self._in_hand += 1
        metrics.IN_FLIGHT.set(self._in_hand)
        self._idle.clear()

    def _end(self) -> None:
        self._in_hand -= 1
        metrics.IN_FLIGHT.set(self._in_hand)
        if self._in_hand == 0:
            self._idle.set()


def _wanted(call: Callable[..., Any], dependencies: Mapping[str, Any]) -> tuple[str, ...]:
    """The dependencies that a handler asks for by name. Raises :class:`TypeError` at start where nobody gives one."""
    asked = [p.name for p in inspect.signature(call).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    wanted = tuple(name for name in asked if name not in ("tx", "work"))
    if missing := [name for name in wanted if name not in dependencies]:
        raise TypeError(f"{call.__name__} asks for {', '.join(missing)}, which the service doesn't give")
    return wanted


class _caused_by:  # noqa: N801 - reads as a phrase: with _caused_by(envelope)
    """Makes an event the cause of whatever is emitted and logged meanwhile."""

    def __init__(self, envelope: Envelope) -> None:
        self._envelope = envelope

    def __enter__(self) -> None:
        e = self._envelope
        self._span = tracing.span(e.type, "CONSUMER", e.traceparent, uca__identifier=e.data.identifier, uca__event=e.id)
        self._token = current.set(Context(e.id, self._span.__enter__()))
        self._logged = structlog.contextvars.bind_contextvars(correlation=e.correlation, event_id=e.id)

    def __exit__(self, *error: Any) -> None:
        structlog.contextvars.reset_contextvars(**self._logged)
        current.reset(self._token)
        self._span.__exit__(*error)
