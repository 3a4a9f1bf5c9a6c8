"""Dead letters: what is parked and why, and what a person does with it."""

import pytest
from backbone import parked
from backbone.database import Transaction
from backbone.envelope import Message
from backbone.handlers import Handler
from backbone.testing import Happened, Rig, Seen


async def test_an_error_of_ours_is_parked_and_can_be_replayed(rig: Rig) -> None:
    """After three tries a person finds it with the reason, mends the cause, and sends it again."""
    mended = False
    seen = Seen()

    async def stumble(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        seen.note("try")
        if not mended:
            raise ZeroDivisionError("our mistake")
        tx.committed.append(lambda: seen.note("handled"))

    async with rig.running({Happened: Handler(stumble)}, seen=seen):
        await rig.emit(Happened(identifier="stumbled"))
        for _ in range(3):
            await seen.next()
        row = await rig.until("SELECT * FROM parked WHERE subject = 'stumbled'")
        assert (row.reason, row.tries, row.type, row.routing_key) == (
            "ZeroDivisionError",
            3,
            "Happened",
            "thing.happened",
        )
        mended = True
        replay = parked.DeadLettersReplayRequested(service=rig.name, ids=(row.id,), by="ann")
        await rig.emit(replay)
        assert [await seen.next(), await seen.next()] == ["try", "handled"]
        await rig.emit(replay)
        await rig.until("SELECT 1 FROM inbox HAVING count(*) >= 3")
    (row,) = await rig.rows("SELECT state, decided_by FROM parked WHERE subject = 'stumbled'")
    assert (row.state, row.decided_by) == ("replayed", "ann")
    assert seen.is_empty()


async def test_a_discarded_dead_letter_stays_on_record(rig: Rig) -> None:
    """With who said that it needs nothing more."""

    async def stumble(event: Happened, *, tx: Transaction) -> None:
        raise ZeroDivisionError

    async with rig.running({Happened: Handler(stumble)}):
        await rig.emit(Happened(identifier="dropped"))
        row = await rig.until("SELECT id FROM parked WHERE subject = 'dropped'")
        await rig.emit(parked.DeadLettersDiscardRequested(service=rig.name, ids=(row.id,), by="ann"))
        row = await rig.until("SELECT * FROM parked WHERE subject = 'dropped' AND state = 'discarded'")
    assert (row.decided_by, row.decided_at is None) == ("ann", False)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"\xff\x00 no JSON", "not_json"),
        (b'{"type": "Happened"}', "not_cloudevents"),
        (
            b'{"specversion": "1.0", "type": "Unheard", "dataschema": "urn:uca:Unheard:1", "data": {}}',
            "unknown_type",
        ),
        (
            b'{"specversion": "1.0", "type": "Happened", "dataschema": "urn:uca:Happened:9", "data": {}}',
            "unknown_version",
        ),
        (
            b'{"specversion": "1.0", "type": "Happened", "dataschema": "urn:uca:Happened:1", "data": {"run": []}}',
            "wrong_schema",
        ),
    ],
)
async def test_what_cannot_be_understood_is_parked_at_once(rig: Rig, body: bytes, reason: str) -> None:
    """No try would help; the message is kept to the byte, and the service goes on."""
    seen = Seen()
    message = Message("thing.happened", body)

    async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        tx.committed.append(lambda: seen.note(event.identifier))

    async with rig.running({Happened: Handler(note)}, seen=seen) as replica:
        assert await replica.publisher.publish([message]) == [message.id]
        row = await rig.until("SELECT * FROM parked WHERE message_id = :id", id=message.id)
        assert (row.reason, bytes(row.body), row.tries) == (reason, body, 1)
        await rig.emit(Happened(identifier="next"))
        assert await seen.next() == "next"
