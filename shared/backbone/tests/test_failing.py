"""What a handler that fails, or is called twice or beside another, must not cost."""

import asyncio
from datetime import UTC, datetime
from types import SimpleNamespace

from backbone.broker import Publisher
from backbone.consumer import Consumer
from backbone.context import Context
from backbone.database import Transaction
from backbone.deliveries import Delivery
from backbone.envelope import Message, pack, seal
from backbone.handlers import CallingOut, Handler, Work
from backbone.retries import GiveUp, Wait
from backbone.testing import Answered, Happened, Rig, Seen


class Refusal(Exception):
    """A fault that no other try would mend."""

    code = "refused"
    retryable = False
    retry_after = None
    costs_try = True


def sealed(identifier: str) -> Message:
    event = Happened(identifier=identifier)
    return pack([seal(event, source="test", time=datetime.now(UTC), context=Context())])[0]


async def test_a_message_that_comes_twice_is_given_up_once(rig: Rig) -> None:
    """Also where both copies fail at the same time: whoever claims it answers for it."""
    seen, both = Seen(), asyncio.Barrier(2)

    async def refuse(event: Happened, *, work: Work) -> None:
        if event.identifier == "given up":
            await both.wait()
        raise Refusal

    async def apologise(event: Happened, failure: GiveUp, *, tx: Transaction, seen: Seen) -> list[Answered]:
        tx.committed.append(lambda: seen.note(event.identifier))
        return []

    message = sealed("given up")
    async with rig.running({Happened: CallingOut(refuse, apologise)}, seen=seen) as replica:
        assert await replica.publisher.publish([message, message]) == [message.id] * 2
        assert await seen.next() == "given up"
        await asyncio.wait_for(replica.consumer.drained(), 30)
        await rig.emit(Happened(identifier="last"))
        assert await seen.next() == "last"
    assert seen.is_empty()


async def test_a_wait_that_cannot_be_told_costs_no_retry(rig: Rig) -> None:
    """The word of it is lost, and the next try is made all the same."""
    seen = Seen()

    async def stumble_once(event: Happened, *, work: Work, seen: Seen) -> None:
        seen.note(work.attempt)
        if work.attempt == 1:
            raise ZeroDivisionError

    async def tell(event: Happened, wait: Wait, *, tx: Transaction) -> list[Answered]:
        raise KeyError("untold")

    async with rig.running({Happened: CallingOut(stumble_once, None, tell)}, seen=seen):
        await rig.emit(Happened(identifier="untold"))
        assert [await seen.next(), await seen.next()] == [1, 2]


async def test_what_shares_a_transaction_is_done_in_the_order_of_its_identifiers(rig: Rig) -> None:
    """Replicas that were given the same things in another order lock them in the same one, and wait in no ring."""
    seen, publisher = Seen(), Publisher(rig.amqp_url, name=rig.name)

    async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        seen.note(event.identifier)

    consumer = Consumer(rig.name, {Happened: Handler(note)}, rig.database, publisher, dependencies={"seen": seen})
    for tag, identifier in enumerate("cab", 1):
        message, ending = sealed(identifier), SimpleNamespace(is_lost=False, done=lambda _: None)
        of_message = message.body, message.content_type, message.id, message.headers, message.routing_key
        await consumer.receive(Delivery(*of_message, ending, tag))
    running = asyncio.create_task(consumer.run())
    assert [await seen.next() for _ in range(3)] == ["a", "b", "c"]
    await consumer.drained()
    running.cancel()


def test_a_handler_that_calls_out_and_returns_events_is_no_handler() -> None:
    """They would be lost, so types refuse it: without that, mypy calls this comment unused."""

    async def call(event: Happened, *, work: Work) -> list[Answered]:
        return []

    CallingOut(call)  # type: ignore[arg-type]
