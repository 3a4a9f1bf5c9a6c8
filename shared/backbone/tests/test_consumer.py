import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any

import pytest
from backbone import metrics
from backbone.broker import Publisher
from backbone.consumer import Consumer
from backbone.context import Context, current
from backbone.database import Transaction
from backbone.envelope import Envelope, pack, seal
from backbone.handlers import CallingOut, Folding, Handler, Work
from backbone.retries import GiveUp, Snooze, Wait
from backbone.testing import Answered, Happened, Rig, Seen

PARKED = "SELECT reason, tries, state, type FROM parked WHERE subject = :subject"


class Refusal(Exception):
    """A fault that is worth another try."""

    code = "refused"
    retryable = True
    retry_after = None
    costs_try = True


class Lasting(Refusal):
    """A fault that no other try would mend."""

    retryable = False


def answer(event: Happened, words: str) -> Answered:
    return Answered(identifier=event.identifier, words=words)


async def hear(event: Answered, *, tx: Transaction, seen: Seen) -> None:
    """Lets a test await what other handlers answered."""
    tx.committed.append(lambda: seen.note(event.words))


HEARING = {Answered: Handler(hear)}


async def test_an_event_is_handled_and_its_consequence_sent(rig: Rig) -> None:
    """From a commit to another handler, and nothing is left in the outbox."""

    async def greet(event: Happened, *, tx: Transaction) -> list[Answered]:
        return [answer(event, "hello")]

    seen = Seen()
    async with rig.running({Happened: Handler(greet), **HEARING}, seen=seen):
        await rig.emit(Happened(identifier="greeted"))
        assert await seen.next() == "hello"
    assert await rig.rows("SELECT 1 FROM outbox") == []


@pytest.mark.parametrize("kind", [Handler, CallingOut])
async def test_a_fault_is_retried_over_the_rungs_and_then_answered_for(rig: Rig, kind: type[Handler]) -> None:
    """Three tries, told of while it waits, and at the end an event and no dead letter."""

    async def refuse(event: Happened, *, tx: Any = None, seen: Seen) -> None:
        seen.note("try")
        raise Refusal("not today")

    async def refuse_outside(event: Happened, *, work: Work, seen: Seen) -> None:
        await refuse(event, seen=seen)

    async def tell(event: Happened, wait: Wait, *, tx: Transaction) -> list[Answered]:
        return [answer(event, f"waits for try {wait.attempt} of {wait.tries}, {wait.delay:.1f} s: {wait.error}")]

    async def apologise(event: Happened, failure: GiveUp, *, tx: Transaction) -> list[Answered]:
        return [answer(event, f"{failure.code} after {failure.tries}: {failure.message}")]

    seen = Seen()
    call = refuse if kind is Handler else refuse_outside
    identifier = f"refused-{kind.__name__}"
    async with rig.running({Happened: kind(call, apologise, tell), **HEARING}, seen=seen):
        await rig.emit(Happened(identifier=identifier))
        notes = [await seen.next() for _ in range(6)]
    assert [each for each in notes if each == "try"] == ["try"] * 3
    waits = [each for each in notes if each.startswith("waits")]
    assert [each.partition(",")[0] for each in waits] == ["waits for try 2 of 3", "waits for try 3 of 3"]
    assert notes[-1] == "refused after 3: not today"
    assert await rig.rows(PARKED, subject=identifier) == []


async def test_a_snooze_costs_no_try_and_is_told_to_nobody(rig: Rig) -> None:
    """However often a handler says that its time has not come, the first real try is the first."""
    seen, left = Seen(), [1, 2, 3, 4, 5]

    async def wait_for_it(event: Happened, *, work: Work, seen: Seen) -> None:
        if left:
            left.pop()
            raise Snooze("not yet", 0.1)
        seen.note(work.attempt)

    async def tell(event: Happened, wait: Wait, *, tx: Transaction) -> list[Answered]:
        return [answer(event, "told")]

    async with rig.running({Happened: CallingOut(wait_for_it, None, tell), **HEARING}, seen=seen):
        await rig.emit(Happened(identifier="snoozed"))
        assert await seen.next() == 1


async def test_a_message_that_comes_twice_counts_once(rig: Rig) -> None:
    """Its id is claimed with the work that it caused, in one transaction."""
    seen = Seen()

    async def note(event: Happened, *, tx: Transaction, seen: Seen) -> list[Answered]:
        return [answer(event, "once")]

    async with rig.running({Happened: Handler(note), **HEARING}, seen=seen) as replica:
        event = seal(Happened(identifier="twice"), source=rig.name, time=datetime.now(UTC), context=Context())
        (message,) = pack([event])
        for _ in range(3):
            assert await replica.publisher.publish([message]) == [message.id]
        assert await seen.next() == "once"
        await rig.emit(Happened(identifier="marker"))
        assert await seen.next() == "once"
    assert seen.is_empty()


async def test_a_message_that_comes_twice_at_once_counts_once(rig: Rig) -> None:
    """Both copies share a transaction, as after a confirm that was lost, and only one of them does the work."""
    seen = Seen()

    async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        tx.committed.append(lambda: seen.note(event.identifier))

    event = seal(Happened(identifier="twice at once"), source=rig.name, time=datetime.now(UTC), context=Context())
    (message,) = pack([event])
    publisher = Publisher(rig.amqp_url, name=rig.name)
    assert await publisher.publish([message, message, message]) == [message.id] * 3
    async with rig.running({Happened: Handler(note)}, seen=seen):
        assert await seen.next() == "twice at once"
        await rig.emit(Happened(identifier="the next"))
        assert await seen.next() == "the next"
    assert seen.is_empty()
    await publisher.close()


async def test_one_failing_message_parks_alone(rig: Rig) -> None:
    """Deliveries share a transaction; where one fails, the others are handled without it."""
    seen = Seen()

    async def stumble_once(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        if event.identifier == "poison":
            raise ZeroDivisionError
        tx.committed.append(lambda: seen.note(event.identifier))

    others = [f"healthy-{number}" for number in range(40)]
    async with rig.running({Happened: Handler(stumble_once)}, seen=seen):
        for identifier in (*others[:20], "poison", *others[20:]):
            await rig.emit(Happened(identifier=identifier))
        assert sorted([await seen.next() for _ in others]) == sorted(others)
        await rig.until("SELECT 1 FROM parked WHERE subject = 'poison'")
    assert await rig.rows("SELECT 1 FROM parked WHERE subject LIKE 'healthy-%'") == []
    assert seen.is_empty()


async def test_folding_takes_all_that_waits_in_one_call(rig: Rig) -> None:
    """A batch and single messages alike, each event with its own envelope."""
    seen = Seen()

    async def fold(envelopes: Sequence[Envelope], *, tx: Transaction, seen: Seen) -> None:
        for envelope in envelopes:
            tx.committed.append(partial(seen.note, envelope))

    async with rig.running({Happened: Folding(fold)}, seen=seen):
        await rig.emit(*(Happened(identifier=f"folded-{number}") for number in range(25)))
        envelopes = [await seen.next() for _ in range(25)]
    assert {envelope.data.identifier for envelope in envelopes} == {f"folded-{number}" for number in range(25)}
    assert len({envelope.id for envelope in envelopes}) == 25


async def test_a_batch_is_taken_apart_for_a_handler_that_calls_out(rig: Rig) -> None:
    """Each event has tries of its own: one that fails is tried again without the others."""
    seen, refused = Seen(), set[str]()

    async def call(event: Happened, *, work: Work, seen: Seen) -> None:
        if event.identifier == "apart-3" and event.identifier not in refused:
            refused.add(event.identifier)
            raise Refusal
        seen.note((event.identifier, work.attempt))

    async with rig.running({Happened: CallingOut(call)}, seen=seen):
        await rig.emit(*(Happened(identifier=f"apart-{number}") for number in range(5)))
        calls = {await seen.next() for _ in range(5)}
    assert calls == {(f"apart-{number}", 2 if number == 3 else 1) for number in range(5)}
    assert seen.is_empty()


async def test_a_batch_that_comes_again_counts_each_of_its_events_once(rig: Rig) -> None:
    """Also where its first delivery got half-way; none of them goes another way through the broker."""
    seen, published = Seen(), metrics.PUBLISHED.labels("express")

    async def call(event: Happened, *, work: Work, seen: Seen) -> None:
        async with work.finish() as tx:
            tx.committed.append(lambda: seen.note(event.identifier))

    def sealed(identifier: str) -> Envelope:
        return seal(Happened(identifier=identifier), source=rig.name, time=datetime.now(UTC), context=Context())

    names = [f"batch-{number}" for number in range(5)]
    batch = [sealed(name) for name in names]
    (half,), (whole,) = pack(batch[:2]), pack(batch)
    before = published._value.get()
    async with rig.running({Happened: CallingOut(call)}, seen=seen) as replica:
        await replica.publisher.publish([half, whole, whole, *pack([sealed("marker")])])
        assert {await seen.next() for _ in range(6)} == {*names, "marker"}
    assert seen.is_empty()
    assert published._value.get() == before


async def test_an_event_of_a_batch_is_parked_under_its_own_id(rig: Rig) -> None:
    """So a batch that comes again parks it once, and what is replayed is that event alone."""

    async def call(event: Happened, *, work: Work) -> None:
        if event.identifier == "poisoned part":
            raise Lasting

    def sealed(identifier: str) -> Envelope:
        return seal(Happened(identifier=identifier), source=rig.name, time=datetime.now(UTC), context=Context())

    events = [sealed("healthy"), sealed("poisoned part")]
    async with rig.running({Happened: CallingOut(call)}) as replica:
        await replica.publisher.publish([*pack(events), *pack(events)])
        await rig.until("SELECT 1 FROM parked WHERE subject = 'poisoned part'")
    parked = await rig.rows("SELECT message_id FROM parked WHERE subject = 'poisoned part'")
    assert [row.message_id for row in parked] == [events[1].id]


async def test_work_outside_holds_no_other_up(rig: Rig) -> None:
    """A handler that waits for its cloud leaves the queue to others."""
    seen, answered = Seen(), asyncio.Event()

    async def call(event: Happened, *, work: Work, seen: Seen) -> None:
        if event.identifier == "slow":
            await answered.wait()
        async with work.finish() as tx:
            tx.committed.append(lambda: seen.note(event.identifier))

    async with rig.running({Happened: CallingOut(call)}, seen=seen):
        await rig.emit(Happened(identifier="slow"))
        await rig.emit(Happened(identifier="fast"))
        assert await seen.next() == "fast"
        answered.set()
        assert await seen.next() == "slow"


async def test_causes_are_carried_through_every_hop(rig: Rig) -> None:
    """The answer names the event that caused it, and keeps its run and its trace."""
    seen = Seen()

    async def greet(event: Happened, *, tx: Transaction, seen: Seen) -> list[Answered]:
        seen.note(current.get())
        return [Answered(identifier=event.identifier, run=event.run, words="hello")]

    async def fold(envelopes: Sequence[Envelope], *, tx: Transaction, seen: Seen) -> None:
        for envelope in envelopes:
            tx.committed.append(partial(seen.note, envelope))

    async with rig.running({Happened: Handler(greet), Answered: Folding(fold)}, seen=seen):
        await rig.emit(Happened(identifier="caused", run=7))
        context, envelope = await seen.next(), await seen.next()
    assert context.cause is not None
    assert (envelope.correlation, envelope.cause) == ("caused/7", context.cause)
    assert envelope.traceparent == context.traceparent


def test_a_dependency_that_nobody_gives_is_named_at_start(rig: Rig) -> None:
    """Not with the first event."""

    async def wants(event: Happened, *, tx: Transaction, cloud: object) -> None: ...

    with pytest.raises(TypeError, match="wants asks for cloud"):
        Consumer("x", {Happened: Handler(wants)}, rig.database, publisher=None)  # type: ignore[arg-type] # never used
