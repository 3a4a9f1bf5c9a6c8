import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from backbone import topology
from backbone.broker import BrokerUnavailable, Publisher, within
from backbone.database import Transaction
from backbone.deliveries import Delivery
from backbone.envelope import Message
from backbone.handlers import Handler
from backbone.outbox import BATCH
from backbone.subscription import Subscription
from backbone.testing import Happened, Rig, Seen


async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
    tx.committed.append(lambda: seen.note(event.identifier))


HANDLERS = {Happened: Handler(note)}


async def test_a_message_that_routes_nowhere_does_not_count_as_sent(rig: Rig) -> None:
    """It is not among the confirmed ones, which are not harmed by it."""
    async with rig.running(HANDLERS, seen=Seen()) as replica:
        lost, heard = Message("unheard.of", b"{}"), Message("thing.odd", b"{}")
        assert await replica.publisher.publish([lost, heard]) == [heard.id]
        assert await replica.publisher.publish([lost]) == []


async def test_a_message_that_two_send_at_once_is_confirmed_only_if_it_was_routed(rig: Rig) -> None:
    """The outbox's lanes may meet over a row, and one copy's return must not leave the other confirmed."""
    publisher, lost = Publisher(rig.amqp_url, name=rig.name), Message("unheard.of", b"{}")
    assert await publisher.publish([lost]) == []
    assert not any(await asyncio.gather(publisher.publish([lost]), publisher.publish([lost])))
    await publisher.close()


async def test_a_service_cannot_say_what_is_not_its_to_say(rig: Rig) -> None:
    """The broker refuses the routing key, and the next publish works again."""
    publisher = Publisher(rig.amqp_url, name=rig.name)
    try:
        with pytest.raises(BrokerUnavailable, match="ACCESS_REFUSED"):
            await publisher.publish([Message("order.placed", b"{}")])
        message = Message("thing.odd", b"{}")
        assert await publisher.publish([message]) == [message.id]
    finally:
        await publisher.close()


async def test_a_batch_has_its_places_before_the_socket(rig: Rig) -> None:
    """Where it doesn't fit, each message takes a turn of the loop: on a busy one, two seconds for 200."""
    async with rig.running(HANDLERS, seen=Seen()) as replica:
        await replica.publisher.publish([])
        connection = replica.publisher._connection
        assert connection is not None
        assert connection.transport is not None
        assert connection.transport.connection.write_queue.maxsize >= 2 * BATCH  # the express lane's, and the sweep's


async def test_a_broker_that_is_away_is_told_from_a_refusal(rig: Rig) -> None:
    """Nothing certain is known of the messages then."""
    publisher = Publisher("amqp://nobody:x@127.0.0.1:1/", name=rig.name)
    with pytest.raises(BrokerUnavailable):
        await publisher.publish([Message("thing.odd", b"{}")])


async def test_a_queue_that_was_deleted_is_consumed_again_once_it_is_back(rig: Rig) -> None:
    """The service looks for it until the definitions are imported again."""
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen) as replica:
        await rig.delete_queue(topology.names(rig.name).work)
        await until_lost(replica.subscription)
        await rig.define()
        await asyncio.wait_for(replica.subscription.consuming.wait(), 30)
        await rig.emit(Happened(identifier="after the queue"))
        assert await seen.next() == "after the queue"


async def test_a_connection_that_the_broker_closes_is_opened_again(rig: Rig) -> None:
    """For consuming and for publishing, and what was committed meanwhile arrives."""
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen) as replica:
        await rig.emit(Happened(identifier="before"))
        assert await seen.next() == "before"
        assert await rig.close_connections() >= 2
        await until_lost(replica.subscription)
        await rig.emit(Happened(identifier="after"))
        assert await seen.next() == "after"


async def test_a_channel_that_ends_leaves_nothing_in_hand(rig: Rig) -> None:
    """The library cancels what it called for a delivery; what is left to do for it goes on, and is counted off."""
    parking, go_on = asyncio.Event(), asyncio.Event()
    async with rig.running(HANDLERS, seen=Seen()) as replica:
        publish = replica.publisher.publish

        async def held_up(messages: Sequence[Message]) -> list[str]:
            parking.set()
            await go_on.wait()
            return await publish(messages)

        replica.publisher.publish = held_up  # type: ignore[method-assign]  # so that the channel ends meanwhile
        await publish([Message("thing.odd", b"{}")])
        await parking.wait()
        await rig.delete_queue(topology.names(rig.name).work)
        await until_lost(replica.subscription)
        await rig.define()
        go_on.set()
        await asyncio.wait_for(replica.consumer.drained(), 30)


async def test_a_message_is_sent_to_last(rig: Rig) -> None:
    """As persistent, with its id and type, for whatever kind of queue it is routed to."""
    publisher = Publisher(rig.amqp_url, name=rig.name)
    message = Message("thing.happened", b"{}")
    await publisher.publish([message])
    await publisher.close()
    (kept,) = await left_in(rig)
    properties = kept["properties"]
    assert (properties["delivery_mode"], properties["message_id"]) == (2, message.id)
    assert properties["content_type"] == message.content_type


async def left_in(rig: Rig) -> list[dict[str, Any]]:
    """What waits in the work queue, taken out of it."""
    asked = {"count": 100, "ackmode": "ack_requeue_false", "encoding": "auto"}
    answer = await rig.api.post(f"/queues/{rig.name}/{topology.names(rig.name).work}/get", json=asked)
    found: list[dict[str, Any]] = answer.raise_for_status().json()
    return found


async def test_what_is_acknowledged_last_leaves_before_the_connection_closes(rig: Rig) -> None:
    """A service that has drained leaves nothing to be delivered again."""
    work = topology.names(rig.name).work
    publisher = Publisher(rig.amqp_url, name=rig.name)

    async def take(delivery: Delivery) -> None:
        subscription.release()
        delivery.ack()

    subscription = Subscription(rig.amqp_url, name=rig.name, queues={work: take}, prefetch=50)
    consuming = asyncio.create_task(subscription.run())
    await publisher.publish([Message("thing.happened", b"{}")])
    await publisher.close()
    await asyncio.wait_for(consuming, 30)
    assert await left_in(rig) == []


async def until_lost(subscription: Subscription) -> None:
    """Returns once the subscription has noticed."""
    async with asyncio.timeout(30):
        while subscription.consuming.is_set():  # noqa: ASYNC110 - an Event cannot be awaited for its end
            await asyncio.sleep(0.01)


async def test_a_server_that_hangs_up_before_its_first_word_is_asked_again() -> None:
    """As a broker does that is just going down: neither consuming nor publishing may end with it."""
    calls: asyncio.Queue[None] = asyncio.Queue()

    def hang_up(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write_eof()
        calls.put_nowait(None)

    async with await asyncio.start_server(hang_up, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        subscription = Subscription(f"amqp://a:b@127.0.0.1:{port}/", name="test", queues={}, prefetch=1)
        consuming = asyncio.create_task(subscription.run())
        for _ in range(3):
            await asyncio.wait_for(calls.get(), 30)
        consuming.cancel()
        publisher = Publisher(f"amqp://a:b@127.0.0.1:{port}/", name="test")
        with pytest.raises(BrokerUnavailable):
            await publisher.publish([Message("thing.happened", b"{}")])


@pytest.mark.parametrize("odd", [StopAsyncIteration, asyncio.CancelledError])
async def test_what_a_dying_connection_makes_the_library_raise_is_a_loss(odd: type[BaseException]) -> None:
    """It must not end the task that is there to connect again."""
    with pytest.raises(ConnectionError):
        async with within(30):
            raise odd


async def test_our_own_cancellation_stays_one() -> None:
    """A service that ends does not connect once more."""

    async def wait() -> None:
        async with within(30):
            await asyncio.Event().wait()

    task = asyncio.create_task(wait())
    await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
