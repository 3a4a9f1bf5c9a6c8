"""What docs/traps.md tells of the tools, as far as no other test shows that it is met. On the real broker."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aio_pika
import pytest
from aio_pika.abc import AbstractChannel, AbstractQueue
from backbone import outbox, topology
from backbone.broker import BrokerUnavailable, Publisher
from backbone.context import Context
from backbone.database import Transaction
from backbone.envelope import Message, pack, seal
from backbone.handlers import CallingOut, Handler, Work
from backbone.retries import Snooze
from backbone.subscription import Subscription
from backbone.testing import Happened, Rig, Seen


async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
    """Tells the test once it is committed."""
    tx.committed.append(lambda: seen.note(event.identifier))


HANDLERS = {Happened: Handler(note)}


class Wire:
    """Between a client and the broker; while ``deaf``, what the broker says is swallowed."""

    def __init__(self, target: int) -> None:
        self._target = target
        self.deaf = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, until either side ends it."""
        back, forth = await asyncio.open_connection("127.0.0.1", self._target)
        async with asyncio.TaskGroup() as both:
            both.create_task(self._pass(reader, forth, lambda: False))
            both.create_task(self._pass(back, writer, lambda: self.deaf))

    @staticmethod
    async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, swallows: Callable[[], bool]) -> None:
        while piece := await reader.read(65536):
            if not swallows():
                writer.write(piece)
        writer.close()


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire, and the broker's URL through it."""
    parts = urlsplit(url)
    wire = Wire(parts.port or 5672)
    async with await asyncio.start_server(wire.serve, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        yield wire, parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}").geturl()


async def test_a_confirm_that_does_not_come_means_unknown_and_the_repeat_counts_once(rig: Rig) -> None:
    """The message may have arrived: it is sent again with its id, on a fresh channel, and the inbox knows it."""
    seen, message = Seen(), happened(rig, "unconfirmed")
    async with wired(rig.amqp_url) as (wire, url):
        publisher = Publisher(url, name=rig.name, confirm_timeout=1)
        await publisher.publish([happened(rig, "heard")])
        wire.deaf = True
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([message])
        wire.deaf = False
        assert await publisher.publish([message]) == [message.id]
        await publisher.close()
    async with rig.running(HANDLERS, seen=seen) as replica:
        await replica.publisher.publish([happened(rig, "last")])
        assert [await seen.next() for _ in range(3)] == ["heard", "unconfirmed", "last"]
    assert seen.is_empty()


async def test_waiting_for_a_mute_broker_ends(rig: Rig) -> None:
    """The time limit covers connecting, too: nothing is said to us at all."""
    async with wired(rig.amqp_url) as (wire, url):
        wire.deaf = True
        publisher = Publisher(url, name=rig.name, confirm_timeout=0.5)
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([Message("thing.odd", b"{}")])


def happened(rig: Rig, identifier: str) -> Message:
    """The message of an event, past the outbox."""
    event = Happened(identifier=identifier)
    return pack([seal(event, source=rig.name, time=datetime.now(UTC), context=Context())])[0]


class Silenced(Subscription):
    """One whose channels a test can reach."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.opened: asyncio.Queue[AbstractChannel] = asyncio.Queue()

    async def _open(self, channel: AbstractChannel, name: str) -> None:
        await super()._open(channel, name)
        self.opened.put_nowait(channel)


async def test_a_consumer_that_the_broker_forgot_is_noticed(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Connection and channel live on and nobody says a word: a look from beside finds that nobody consumes."""
    monkeypatch.setattr("backbone.subscription.WATCH_SECONDS", 0.1)

    async def ignore(delivery: object) -> None: ...

    subscription = Silenced(rig.amqp_url, name=rig.name, queues={topology.names(rig.name).parked: ignore}, prefetch=1)
    consuming = asyncio.create_task(subscription.run())
    try:
        opened = await asyncio.wait_for(subscription.opened.get(), 30)
        await asyncio.wait_for(subscription.consuming.wait(), 30)
        channel: Any = await opened.get_underlay_channel()
        for tag in list(channel.consumers):
            await channel.basic_cancel(tag)
        await asyncio.wait_for(subscription.opened.get(), 30)
        await asyncio.wait_for(subscription.consuming.wait(), 30)
    finally:
        subscription.release()
        await asyncio.wait_for(consuming, 30)


async def test_poison_never_uses_up_the_prefetch(rig: Rig) -> None:
    """More of it than a replica holds at once, and what comes behind it is handled."""
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen) as replica:
        poison = [Message("thing.odd", b"no event") for _ in range(60)]
        assert len(await replica.publisher.publish(poison)) == 60
        await rig.emit(Happened(identifier="behind poison"))
        assert await seen.next() == "behind poison"
        await rig.until("SELECT 1 FROM parked WHERE message_id = ANY(:ids) HAVING count(*) = 60", ids=ids(poison))


def ids(messages: list[Message]) -> list[str]:
    """Their ids."""
    return [message.id for message in messages]


async def test_work_goes_on_when_its_channel_is_lost_and_counts_once(rig: Rig) -> None:
    """It commits, its ack fails, which harms nothing: the delivery that comes again is known."""
    seen, go_on, begun = Seen(), asyncio.Event(), asyncio.Queue[str]()

    async def call(event: Happened, *, work: Work, seen: Seen) -> None:
        begun.put_nowait(event.identifier)
        await go_on.wait()
        async with work.finish() as tx:
            tx.committed.append(lambda: seen.note(event.identifier))

    async with rig.running({Happened: CallingOut(call)}, seen=seen):
        await rig.emit(Happened(identifier="orphaned"))
        await asyncio.wait_for(begun.get(), 30)
        await rig.close_connections()
        await asyncio.wait_for(begun.get(), 30)  # it was delivered again while the first was still at work
        go_on.set()
        assert await seen.next() == "orphaned"
    assert seen.is_empty()


async def test_a_short_wait_is_not_behind_a_long_one(rig: Rig) -> None:
    """A queue for each rung: in one queue a message waits for the one before it, however short its own time is."""
    seen, waited = Seen(), set[str]()

    async def wait(event: Happened, *, work: Work, seen: Seen) -> None:
        if event.identifier not in waited:
            waited.add(event.identifier)
            raise Snooze("not yet", 120 if event.identifier == "long" else 5)
        seen.note(event.identifier)

    async with rig.running({Happened: CallingOut(wait)}, seen=seen):
        await rig.emit(Happened(identifier="long"))
        await rig.emit(Happened(identifier="short"))
        assert [await seen.next(), await seen.next()] == ["short", "long"]


class Limited(Exception):
    """A provider's rate limit: it says when, and is nobody's fault."""

    code = "rate_limited"
    retryable = True
    retry_after = 20.0
    costs_try = False


async def test_a_limit_that_parks_work_costs_no_try(rig: Rig) -> None:
    """Refused more often than there are tries, and still at its first one."""
    seen, left = Seen(), [*range(5)]

    async def call(event: Happened, *, work: Work, seen: Seen) -> None:
        if left:
            left.pop()
            raise Limited
        seen.note(work.attempt)

    async with rig.running({Happened: CallingOut(call)}, seen=seen):
        await rig.emit(Happened(identifier="limited"))
        assert await seen.next() == 1


async def test_a_full_queue_refuses_and_the_outbox_keeps(rig: Rig) -> None:
    """The newest is refused, never the oldest dropped; with room again everything arrives."""
    work = topology.names(rig.name).work
    path = f"/policies/{rig.name}/full"
    full = {"pattern": f"^{work}$", "priority": 9, "definition": {"max-length": 1, "overflow": "reject-publish"}}
    (await rig.api.put(path, json=full)).raise_for_status()
    publisher = Publisher(rig.amqp_url, name=rig.name)
    sent = [happened(rig, f"full-{number}") for number in range(30)]
    confirmed = [each for message in sent for each in await publisher.publish([message])]
    assert 0 < len(confirmed) < 30
    (await rig.api.delete(path)).raise_for_status()
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen):
        assert [await seen.next() for _ in confirmed] == [f"full-{number}" for number in range(len(confirmed))]
        refused = [message for message in sent if message.id not in confirmed]
        assert await publisher.publish(refused) == ids(refused)
        assert {await seen.next() for _ in refused} == {f"full-{n}" for n in range(len(confirmed), 30)}
    await publisher.close()


async def drop_with_connection(rig: Rig, queue: str, times: int) -> None:
    """As a consumer that dies over a message, again and again."""
    for _ in range(times):
        async with await aio_pika.connect(rig.amqp_url) as connection:
            channel = await connection.channel()
            source = await channel.get_queue(queue, ensure=False)
            await taken(source)


async def taken(queue: AbstractQueue) -> None:
    """One message of it is in hand; where it is on its way back from the last consumer, it is waited for."""
    async with asyncio.timeout(30):
        while await queue.get(fail=False) is None:  # noqa: ASYNC110 - the broker takes it back a little later
            await asyncio.sleep(0.01)


async def test_what_kills_every_consumer_is_parked_by_the_broker(rig: Rig) -> None:
    """Beyond the delivery limit it comes to the parked table with that reason, and to no consumer any more."""
    publisher = Publisher(rig.amqp_url, name=rig.name)
    message = Message("thing.odd", b"deadly")
    assert await publisher.publish([message]) == [message.id]
    await publisher.close()
    await drop_with_connection(rig, topology.names(rig.name).work, topology.DELIVERY_LIMIT + 1)
    async with rig.running(HANDLERS, seen=Seen()):
        row = await rig.until("SELECT reason, body FROM parked WHERE message_id = :id", id=message.id)
    assert (row.reason, bytes(row.body)) == ("delivery_limit", b"deadly")


async def test_a_dead_letter_is_never_given_up(rig: Rig) -> None:
    """RabbitMQ 4 drops what a queue without a limit has delivered twenty times; this one is the last copy."""
    parked = topology.names(rig.name).parked
    message = Message("", b"the last copy", exchange=topology.names(rig.name).dlx, headers={"reason": "ours"})
    publisher = Publisher(rig.amqp_url, name=rig.name)
    assert await publisher.publish([message]) == [message.id]
    await publisher.close()
    await drop_with_connection(rig, parked, 25)
    async with rig.running(HANDLERS, seen=Seen()):
        row = await rig.until("SELECT reason FROM parked WHERE message_id = :id", id=message.id)
    assert row.reason == "ours"


async def test_no_writer_hides_another_ones_event(rig: Rig) -> None:
    """What was begun first and is committed last leaves too, though the sweep has been past its place in the order."""
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen):
        async with rig.database.transaction() as slow:
            await outbox.insert(slow, [happened(rig, "begun first")])
            async with rig.database.transaction() as fast:
                await outbox.insert(fast, [happened(rig, "begun second")])
            assert await seen.next() == "begun second"
        assert await seen.next() == "begun first"
