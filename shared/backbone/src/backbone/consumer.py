"""From a delivery to its ack: decode, claim, handle, store the consequences, commit, ack.

Handlers that only write the database share one transaction with every other delivery that is waiting. Handlers that
call out run side by side, each with transactions of its own. No handler sees an ack, a header, the outbox or a
correlation.
"""

import asyncio
import random
import time
from collections.abc import Coroutine, Mapping, Sequence
from typing import Any
from uuid import UUID

import structlog

from backbone import inbox, metrics, parked
from backbone.broker import Publisher
from backbone.context import caused_by
from backbone.database import Database, Transaction
from backbone.deliveries import Delivery
from backbone.envelope import Undecodable, unpack
from backbone.failpoints import failpoint
from backbone.group_commit import AlreadyHandled
from backbone.handlers import CallingOut, Dependencies, Folding, Handler, Handlers, Work
from backbone.retries import GiveUp, Retry, Snooze, Wait, decide
from backbone.settling import Received, Settlement

log = structlog.get_logger()

GROUP = 100
"""Deliveries that share one transaction at most."""


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
        self._needs = Dependencies(self._handlers, {"service": service, "database": database, **(dependencies or {})})
        self._settlement = Settlement(service, publisher, retry_scale)
        self._max_tries = max_tries
        self._retry_scale = retry_scale
        self._slots = asyncio.Semaphore(concurrency)
        self._waiting: asyncio.Queue[Received] = asyncio.Queue()
        self._tasks: set[asyncio.Task[None]] = set()

    async def receive(self, delivery: Delivery) -> None:
        """Takes one delivery in; what cannot be understood is parked at once."""
        self._settlement.begin()
        try:
            received = self._decode(delivery)
        except Exception as error:  # noqa: BLE001 - whatever it stumbles over: a delivery must get its verdict
            code, words = (error.code, str(error)) if isinstance(error, Undecodable) else ("undecodable", repr(error))
            log.error("message.undecodable", message_id=delivery.message_id, reason=code, error=words)
            self._apart(self._settlement.park(delivery, code, words, tries=1))
            return
        metrics.AGE.labels(received.type).observe(time.time() - received.envelopes[0].time.timestamp())
        if isinstance(received.handler, CallingOut):
            for each in self._settlement.parts(received):
                self._apart(self._run_calling_out(each))
        else:
            self._waiting.put_nowait(received)

    def _apart(self, work: Coroutine[Any, Any, None]) -> None:
        """Works in a task of its own: the delivery's is cancelled with its channel, and would leave it in hand."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def run(self) -> None:
        """Handles what waits, group by group, for as long as the service runs."""
        while True:
            group = [await self._waiting.get()]
            while len(group) < GROUP and not self._waiting.empty():
                group.append(self._waiting.get_nowait())
            await self._handle_group(group)

    async def drained(self) -> None:
        """Returns once nothing is in hand."""
        await self._settlement.idle()

    # --- decoding

    def _decode(self, delivery: Delivery) -> Received:
        if delivery.message_id is None:
            raise Undecodable("no_message_id", "the message has no id, so a repeat could not be told from a new one")
        try:
            message_id = str(UUID(delivery.message_id))
        except ValueError as error:
            raise Undecodable("bad_message_id", "the message's id is no UUID") from error
        envelopes = unpack(delivery.body, delivery.content_type, self._types)
        key = delivery.key
        if key is not None and (other := next((e for e in envelopes if e.data.routing_key != key), None)):
            # The broker holds each service to its routing keys; the type within is the sender's own word.
            raise Undecodable(
                "wrong_routing_key", f"{type(other.data).__name__} was not said as {other.data.routing_key}"
            )
        handlers = {self._handlers[type(envelope.data)] for envelope in envelopes}
        if len(handlers) > 1:
            raise Undecodable("mixed_batch", "a batch must hold events of one handler")
        return Received(
            delivery,
            message_id,
            delivery.count("attempt"),
            envelopes,
            handlers.pop(),
            time.monotonic(),
        )

    # --- database handlers: a group in one transaction

    async def _handle_group(self, group: list[Received]) -> None:
        # Replicas that hold messages about the same things lock rows in the same order, so none waits in a ring.
        group.sort(key=lambda each: str(each.envelopes[0].data.identifier))
        try:
            todo = await self._database.insist(lambda: self._fold(group), messages=len(group))
        except Exception as error:  # noqa: BLE001 - whatever it is, each message of the group gets its verdict
            await self._group_failed(group, error)
            return
        failpoint("before_ack")
        for each in group:
            self._settlement.done(each, "handled" if each in todo else "repeated")

    async def _fold(self, group: Sequence[Received]) -> Sequence[Received]:
        """Carries out what is new in the group; which that was."""
        first = {each.message_id: each for each in reversed(group)}  # the same message may be in it twice
        async with self._database.transaction() as tx:
            fresh = await inbox.claim(tx, list(first))
            todo = [each for each in group if each.message_id in fresh and each is first[each.message_id]]
            for handler in dict.fromkeys(each.handler for each in todo):
                await self._call(handler, [each for each in todo if each.handler is handler], tx)
        return todo

    async def _call(self, handler: Handler, group: Sequence[Received], tx: Transaction) -> None:
        envelopes = [envelope for each in group for envelope in each.envelopes]
        if isinstance(handler, Folding):
            tx.emit(*(await handler.call(envelopes, tx=tx, **self._needs.of(handler.call)) or ()))
            return
        for envelope in envelopes:
            with caused_by(envelope):
                tx.emit(*(await handler.call(envelope.data, tx=tx, **self._needs.of(handler.call)) or ()))

    async def _group_failed(self, group: list[Received], error: Exception) -> None:
        if len(group) > 1:
            for each in group:
                await self._handle_group([each])
        else:
            await self._failed(group[0], error)

    # --- handlers that call out: one task each

    async def _run_calling_out(self, received: Received) -> None:
        async with self._slots:
            try:
                await self._database.insist(lambda: self._call_out(received), messages=1)
            except AlreadyHandled:
                self._settlement.done(received, "repeated")
            except Exception as error:  # noqa: BLE001 - whatever it is, the message gets its verdict
                await self._failed(received, error)
            else:
                failpoint("before_ack")
                self._settlement.done(received, "handled")

    async def _call_out(self, received: Received) -> None:
        call, (envelope,) = received.handler.call, received.envelopes
        work = Work(self._database, received.message_id, attempt=received.attempt)
        with caused_by(envelope):
            await call(envelope.data, work=work, **self._needs.of(call))
            if not work.finished:
                async with work.finish():
                    log.debug("message.nothing_to_do", type=envelope.type)

    # --- what follows a failure

    async def _failed(self, received: Received, error: Exception) -> None:
        waited = time.time() - received.delivery.since
        jitter = random.random()  # noqa: S311 - no secret
        verdict = decide(received.attempt, error, max_tries=self._max_tries, jitter=jitter, waited=waited)
        with caused_by(received.envelopes[0]):
            if isinstance(error, Snooze):
                log.debug("message.snoozed", type=received.type, reason=str(error), delay=error.delay)
            else:
                log.warning(
                    "message.failed",
                    type=received.type,
                    attempt=received.attempt,
                    verdict=type(verdict).__name__,
                    error=repr(error),
                )
            if isinstance(verdict, Retry):
                await self._tell_of_wait(received, error, verdict)
                await self._settlement.retry(received, verdict)
            elif verdict.expected and received.handler.on_give_up:
                await self._give_up(received, verdict)
            else:
                log.error("message.parked", type=received.type, error=repr(error), exc_info=error)
                await self._settlement.park(received.delivery, verdict.code, verdict.message, verdict.tries)

    async def _tell_of_wait(self, received: Received, error: Exception, retry: Retry) -> None:
        tell = received.handler.on_wait
        if tell is None or isinstance(error, Snooze):
            return
        wait = Wait(error, retry.delay * self._retry_scale, retry.attempt, self._max_tries)

        async def store() -> None:
            async with self._database.transaction() as tx:
                for envelope in received.envelopes:
                    tx.emit(*await tell(envelope.data, wait, tx=tx, **self._needs.of(tell)))

        try:
            await self._database.insist(store)
        except Exception:
            # The retry matters more than the word of it.
            log.exception("message.wait_untold", type=received.type)

    async def _give_up(self, received: Received, failure: GiveUp) -> None:
        answer = received.handler.on_give_up
        assert answer is not None  # noqa: S101 - the caller has looked

        async def store() -> None:
            async with self._database.transaction() as tx:
                if await inbox.claim(tx, [received.message_id]):
                    for envelope in received.envelopes:
                        tx.emit(*await answer(envelope.data, failure, tx=tx, **self._needs.of(answer)))

        try:
            await self._database.insist(store)
        except Exception as error:
            log.error("message.parked", type=received.type, error=repr(error), exc_info=error)
            await self._settlement.park(received.delivery, "give_up_failed", repr(error), failure.tries)
            return
        self._settlement.done(received, "given_up")
