"""Dead letters: what is parked and why, and what a person does with it."""

import json
import uuid
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest
from backbone import parked
from backbone.context import Context
from backbone.database import Transaction
from backbone.deliveries import Delivery
from backbone.envelope import Message, pack, seal
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
        await rig.emit(parked.DeadLettersReplayRequested(service=rig.name, ids=(row.id,), by="ann"))
        assert [await seen.next(), await seen.next()] == ["try", "handled"]
        (known,) = await rig.rows("SELECT count(*) AS messages FROM inbox")
        await rig.emit(parked.DeadLettersReplayRequested(service=rig.name, ids=(row.id,), by="bob"))
        await rig.until("SELECT 1 FROM inbox HAVING count(*) > :messages", messages=known.messages)
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


def event(**members: object) -> bytes:
    """A message of one event, with these members of it as they are given."""
    whole = {"specversion": "1.0", "id": str(uuid.uuid4()), "source": "test", "type": "Happened", "subject": "odd"}
    whole |= {"time": "2026-01-01T00:00:00+00:00", "dataschema": "urn:uca:Happened:1", "correlationid": "odd/1"}
    return json.dumps({**whole, "data": {"identifier": "odd", "run": 1}, **members}).encode()


@pytest.mark.parametrize(
    "members", [{"id": 5}, {"id": []}, {"dataschema": f"urn:uca:Happened:{'9' * 5000}"}, {"time": "\\u0000"}]
)
async def test_whatever_a_message_holds_it_is_parked(rig: Rig, members: dict[str, object]) -> None:
    """Numbers for text, a version without end, letters that look like a NUL in JSON: none stays in hand."""
    message = Message("thing.happened", event(**members))

    async def note(event: Happened, *, tx: Transaction) -> None:
        raise AssertionError(event)

    async with rig.running({Happened: Handler(note)}) as replica:
        assert await replica.publisher.publish([message]) == [message.id]
        row = await rig.until("SELECT * FROM parked WHERE message_id = :id", id=message.id)
        assert (row.reason, bytes(row.body)) == ("not_cloudevents", message.body)


async def test_a_nul_in_a_header_is_left_out(rig: Rig) -> None:
    """No text in the database can hold it."""
    ending = SimpleNamespace(is_lost=False, done=lambda _: None)
    odd = Delivery(b"no event", None, str(uuid.uuid4()), {"routing-key": "odd\x00key"}, "", ending, 7)
    await parked.Drain(rig.database).receive(odd)
    (row,) = await rig.rows("SELECT * FROM parked WHERE message_id = :id", id=odd.message_id)
    assert (row.routing_key, row.headers["routing-key"]) == ("oddkey", "oddkey")


@pytest.mark.parametrize("headers", [{}, {"routing-key": "thing.happened"}, {"CC": ["thing.happened"]}], ids=str)
@pytest.mark.parametrize("key", ["thing.answered", "dead-letters.{}.work"])
async def test_an_event_under_anothers_key_is_parked(rig: Rig, headers: dict[str, Any], key: str) -> None:
    """Its type is not its sender's to say, with whatever header: also not where a copy that the broker doesn't check
    brings it to whoever hears that type, and not under a key that looks like a work queue's name."""

    async def note(event: Happened, *, tx: Transaction) -> None:
        raise AssertionError(event)

    forged = Message(key.format(rig.name), happened("x").body, headers=headers)
    async with rig.running({Happened: Handler(note)}) as replica:
        assert await replica.publisher.publish([forged]) == [forged.id]
        row = await rig.until("SELECT * FROM parked WHERE message_id = :id", id=forged.id)
    assert (row.reason, row.routing_key) == ("wrong_routing_key", forged.routing_key)


async def test_what_a_person_put_into_the_queue_can_be_parked_and_replayed(rig: Rig) -> None:
    """Moved there by the default exchange it bears no key of its own, and is nobody's forgery."""
    mended, seen, moved = False, Seen(), happened("moved")

    async def stumble(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        if not mended:
            raise ZeroDivisionError
        tx.committed.append(lambda: seen.note(event.identifier))

    properties = {"message_id": moved.id, "content_type": moved.content_type}
    body = {"routing_key": f"{rig.name}.work", "payload": moved.body.decode(), "payload_encoding": "string"}
    async with rig.running({Happened: Handler(stumble)}, seen=seen):
        publish = f"/exchanges/{rig.name}/amq.default/publish"
        (await rig.api.post(publish, json={**body, "properties": properties})).raise_for_status()
        row = await rig.until("SELECT * FROM parked WHERE message_id = :id", id=moved.id)
        assert (row.reason, row.tries) == ("ZeroDivisionError", 3)
        mended = True
        await rig.emit(parked.DeadLettersReplayRequested(service=rig.name, ids=(row.id,), by="ann"))
        assert await seen.next() == "moved"


async def test_what_a_person_put_back_among_the_dead_letters_can_be_replayed(rig: Rig) -> None:
    """There it bears that queue's name for a key, and still has in a header the one that it was said with."""
    seen, moved = Seen(), happened("put back")

    async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        tx.committed.append(lambda: seen.note(event.identifier))

    headers = {"reason": "ZeroDivisionError", "error": "our mistake", "tries": 3, "routing-key": moved.routing_key}
    properties = {"message_id": moved.id, "content_type": moved.content_type, "headers": headers}
    body = {"routing_key": f"{rig.name}.parked", "payload": moved.body.decode(), "payload_encoding": "string"}
    async with rig.running({Happened: Handler(note)}, seen=seen):
        publish = f"/exchanges/{rig.name}/amq.default/publish"
        (await rig.api.post(publish, json={**body, "properties": properties})).raise_for_status()
        row = await rig.until("SELECT * FROM parked WHERE message_id = :id", id=moved.id)
        assert row.routing_key == moved.routing_key
        await rig.emit(parked.DeadLettersReplayRequested(service=rig.name, ids=(row.id,), by="ann"))
        assert await seen.next() == "put back"


def happened(identifier: str) -> Message:
    """One event as it is sent."""
    return pack([seal(Happened(identifier=identifier), source="test", time=datetime.now(UTC), context=Context())])[0]


async def test_an_error_that_quotes_a_nul_is_parked(rig: Rig) -> None:
    """The database names what it cannot hold, and its words go with the message."""

    async def stumble(event: Happened, *, tx: Transaction) -> None:
        await tx.execute("SELECT CAST(:it AS jsonb)", {"it": json.dumps(event.identifier)})

    async with rig.running({Happened: Handler(stumble)}):
        await rig.emit(Happened(identifier="a\x00b"))
        row = await rig.until("SELECT * FROM parked WHERE subject = 'ab'")
    assert row.tries == 3


async def test_of_several_replayed_one_with_a_bad_id_is_no_hindrance(rig: Rig) -> None:
    """It gets a good id, and the others keep theirs."""
    seen = Seen()

    async def note(event: Happened, *, tx: Transaction, seen: Seen) -> None:
        tx.committed.append(lambda: seen.note(event.identifier))

    messages = [Message("thing.happened", event(), id="no-uuid"), Message("thing.happened", b"no event")]
    async with rig.running({Happened: Handler(note)}, seen=seen) as replica:
        await replica.publisher.publish(messages)
        both = "SELECT array_agg(id) AS ids FROM parked WHERE message_id = ANY(:ids) HAVING count(*) = 2"
        row = await rig.until(both, ids=[each.id for each in messages])
        await rig.emit(parked.DeadLettersReplayRequested(service=rig.name, ids=tuple(row.ids), by="ann"))
        assert await seen.next() == "odd"
        again = await rig.until("SELECT * FROM parked WHERE message_id = :id AND tries = 2", id=messages[1].id)
    assert again.state == "open"


@pytest.mark.parametrize(
    ("body", "headers", "reason"),
    [
        (b"[" * 5000, {}, "not_json"),
        (event(), {"attempt": 2**40}, "ZeroDivisionError"),
        (event(), {"attempt": -(2**40)}, "ZeroDivisionError"),
        (b'{"subject": "\\ud800"}', {}, "not_json"),
    ],
)
async def test_whatever_was_made_to_harm_is_parked(
    rig: Rig, body: bytes, headers: dict[str, object], reason: str
) -> None:
    """JSON without end, half a letter, tries without number: a person finds each of them."""

    async def stumble(event: Happened, *, tx: Transaction) -> None:
        raise ZeroDivisionError

    message = Message("thing.happened", body, headers=headers)
    async with rig.running({Happened: Handler(stumble)}) as replica:
        assert await replica.publisher.publish([message]) == [message.id]
        row = await rig.until("SELECT * FROM parked WHERE message_id = :id", id=message.id)
    assert (row.reason, bytes(row.body)) == (reason, body)


async def test_headers_that_cannot_be_stored_cost_a_dead_letter_nothing_else(rig: Rig) -> None:
    """It is stored without them, and no place of the prefetch is lost to it."""
    acked: list[int] = []
    ending = SimpleNamespace(is_lost=False, done=acked.append)
    odd = Delivery(b"kept", None, str(uuid.uuid4()), {"weight": float("nan")}, "thing.odd", ending, 7)
    await parked.Drain(rig.database).receive(odd)
    (row,) = await rig.rows("SELECT * FROM parked WHERE message_id = :id", id=odd.message_id)
    assert (row.reason, bytes(row.body), row.routing_key, acked) == ("unreadable", b"kept", "thing.odd", [7])
