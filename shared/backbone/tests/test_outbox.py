import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest
from backbone import metrics, outbox
from backbone.broker import Publisher
from backbone.database import Transaction
from backbone.envelope import MAX_BODY_BYTES, Message
from backbone.handlers import Handler
from backbone.outbox import BATCH, START, Relay
from backbone.testing import Happened, Rig, Seen

WAITED = "UPDATE outbox SET created_at = created_at - interval '1 minute'"


async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
    tx.committed.append(lambda: seen.note(event.identifier))


HOLDERS = (
    "SELECT pid FROM pg_locks WHERE locktype = 'advisory' AND granted"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)
HANDLERS = {Happened: Handler(note)}


@pytest.fixture(autouse=True)
async def emptied(rig: Rig) -> AsyncIterator[None]:
    """What a test leaves behind would be sent in the middle of another one, two seconds later."""
    yield
    async with rig.database.transaction() as tx:
        await tx.execute("DELETE FROM outbox")


async def test_the_sweep_sends_what_a_dead_process_left(rig: Rig) -> None:
    """Committed and never sent: the next replica finds it in the table."""
    await rig.emit(Happened(identifier="left behind"))
    async with rig.database.transaction() as tx:
        await tx.execute(WAITED)
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen):
        assert await seen.next() == "left behind"
        await rig.until("SELECT 1 WHERE NOT EXISTS (SELECT FROM outbox)")


async def test_an_event_of_a_failed_transaction_was_never_there(rig: Rig) -> None:
    """What is emitted stands and falls with the writes that it tells of."""
    with suppress(ZeroDivisionError):
        async with rig.database.transaction() as tx:
            tx.emit(Happened(identifier="never"))
            raise ZeroDivisionError
    assert await rig.rows("SELECT 1 FROM outbox") == []


async def test_a_message_that_no_consumer_would_take_is_refused_at_its_source(rig: Rig) -> None:
    """Larger than the limit: the caller learns it, before anything is committed."""
    with pytest.raises(ValueError, match="at most"):
        async with rig.database.transaction() as tx:
            tx.send(Message("thing.happened", b"x" * (MAX_BODY_BYTES + 1)))


async def test_one_sweep_at_a_time(rig: Rig) -> None:
    """A second replica's sweep waits for the lock of the first, and takes over when that one ends."""
    publisher = Publisher(rig.amqp_url, name=rig.name)
    relays = [Relay(rig.database, publisher, poll=0.05) for _ in range(2)]
    tasks = [asyncio.create_task(relay.run_sweep()) for relay in relays]
    try:
        first = await rig.until(HOLDERS)
        assert len(await rig.rows(HOLDERS)) == 1
        async with rig.database.transaction() as tx:
            await tx.execute("SELECT pg_terminate_backend(:pid)", {"pid": first.pid})
        second = await rig.until(f"{HOLDERS} AND pid <> :pid", pid=first.pid)
        assert second.pid != first.pid
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await publisher.close()


async def test_what_is_refused_does_not_hold_up_what_is_behind_it(rig: Rig) -> None:
    """A whole batch that routes nowhere, and older: the sweep goes on behind it."""
    async with rig.database.transaction() as tx:
        for _ in range(BATCH):
            tx.send(Message("unheard.of", b"{}"))
    async with rig.database.transaction() as tx:
        tx.emit(Happened(identifier="behind"))
    async with rig.database.transaction() as tx:
        await tx.execute(WAITED)
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen):
        assert await seen.next() == "behind"


async def test_an_event_is_committed_though_its_express_lane_is_full(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever asked for it hears of success; the sweep sends it."""
    monkeypatch.setattr("backbone.outbox.EXPRESS_LIMIT", 1)
    publisher = Publisher(rig.amqp_url, name=rig.name)
    monkeypatch.setattr(rig.database, "on_commit", Relay(rig.database, publisher).offer)
    for identifier in ("fits", "does not"):
        await rig.emit(Happened(identifier=identifier))
    async with rig.database.transaction() as tx:
        await tx.execute(WAITED)
    seen = Seen()
    async with rig.running(HANDLERS, seen=seen):
        assert {await seen.next(), await seen.next()} == {"fits", "does not"}
    await publisher.close()


async def test_what_was_committed_leaves_before_anything_else_is_done(
    rig: Rig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another service waits for it; for this one's metrics and logs nobody does."""
    order: list[str] = []

    def offered(_: object) -> None:
        asyncio.get_running_loop().call_soon(order.append, "sent")

    monkeypatch.setattr(rig.database, "on_commit", offered)
    async with rig.database.transaction() as tx:
        tx.emit(Happened(identifier="first"))
        tx.committed.append(lambda: order.append("told"))
    order.append("went on")
    assert order == ["sent", "told", "went on"]


async def test_what_waits_is_counted_up_to_a_bound(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gathered for hours is not counted whole beside each batch that leaves; its age is the oldest row's still."""
    monkeypatch.setattr(outbox, "COUNTED", 3)
    await rig.emit(Happened(identifier="oldest"))
    await rig.database.execute(f"{WAITED} WHERE true")
    for number in range(4):
        await rig.emit(Happened(identifier=f"younger {number}"))
    await rig.database.execute("UPDATE outbox SET created_at = created_at - interval '30 s'")
    monkeypatch.setattr(outbox, "SWEEP_AFTER", 3600)
    await Relay(rig.database, Publisher(rig.amqp_url, name=rig.name))._sweep(START)
    assert metrics.OUTBOX_ROWS._value.get() == 3
    assert metrics.OUTBOX_AGE._value.get() == pytest.approx(90, abs=20)
