"""Old and new code side by side, as while a release is rolled out."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar

import pytest
from backbone import parked, testing
from backbone.context import Context
from backbone.database import Transaction
from backbone.envelope import Undecodable, Upcast, pack, seal, unpack, upcast
from backbone.handlers import Handler
from backbone.testing import Rig, Seen


def named_place(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """From version 1 to 2."""
    return {**data, "moved": "nowhere"}


class Happened(testing.Happened):
    """The same event after its meaning has changed."""

    version: ClassVar[int] = 2
    upcasts: ClassVar[Mapping[int, Upcast]] = {1: named_place}

    moved: str


async def note(event: testing.Happened, *, tx: Transaction, seen: Seen) -> None:
    """Tells the test once it is committed."""
    tx.committed.append(lambda: seen.note((type(event).version, event.identifier)))


async def test_an_event_of_a_newer_version_waits_for_the_upgrade(rig: Rig) -> None:
    """An older consumer parks it unread; replayed after the upgrade it is handled, once."""
    seen = Seen()
    async with rig.running({testing.Happened: Handler(note)}, seen=seen):
        await rig.emit(Happened(identifier="ahead", moved="there"))
        row = await rig.until("SELECT id, reason FROM parked WHERE subject = 'ahead'")
        assert row.reason == "unknown_version"
        await rig.emit(testing.Happened(identifier="still-works"))
        assert await seen.next() == (1, "still-works")
    async with rig.running({Happened: Handler(note)}, seen=seen):
        await rig.emit(parked.DeadLettersReplayRequested(service=rig.name, ids=(row.id,), by="ann"))
        assert await seen.next() == (2, "ahead")
    assert await rig.rows("SELECT 1 FROM parked WHERE subject = 'ahead' AND state = 'open'") == []


async def test_an_event_of_the_version_before_is_handled_after_the_upgrade(rig: Rig) -> None:
    """What was on its way while the consumer was replaced, alone or in a batch, reaches the handler as the new one."""
    seen = Seen()
    await rig.emit(testing.Happened(identifier="behind"))
    await rig.emit(*(testing.Happened(identifier=f"behind-{number}") for number in range(3)))
    async with rig.running({Happened: Handler(note)}, seen=seen):
        found = [await seen.next() for _ in range(4)]
    assert sorted(found) == [(2, "behind"), *((2, f"behind-{number}") for number in range(3))]
    assert await rig.rows("SELECT 1 FROM parked WHERE subject LIKE 'behind%'") == []


class Moved(Happened):
    """A third version."""

    version: ClassVar[int] = 3
    upcasts: ClassVar[Mapping[int, Upcast]] = {1: named_place, 2: lambda data: {**data, "moved": [data["moved"]]}}

    moved: tuple[str, ...]  # type: ignore[assignment]  # that the meaning has changed is the point


def test_older_versions_are_raised_step_by_step() -> None:
    """Each version needs to know only the way from the one before."""
    assert upcast(Moved, 1, {"identifier": "P"}) == {"identifier": "P", "moved": ["nowhere"]}
    assert upcast(Moved, 2, {"moved": "there"}) == {"moved": ["there"]}
    assert upcast(Moved, 3, {"moved": ["there"]}) == {"moved": ["there"]}


class Cut(Happened):
    """One that nobody has told the way from version 1."""

    upcasts: ClassVar[Mapping[int, Upcast]] = {}


@pytest.mark.parametrize(
    ("kind", "version", "data", "code"),
    [
        (Moved, 4, {}, "unknown_version"),
        (Moved, 0, {}, "unknown_version"),
        (Cut, 1, {}, "unknown_version"),
        (Moved, 2, {}, "wrong_schema"),
        (Moved, 1, None, "wrong_schema"),
    ],
)
def test_what_no_way_leads_from_is_undecodable(kind: type[Happened], version: int, data: Any, code: str) -> None:
    """Newer than ours, older than any upcast, or not what its version said: it is parked, never guessed at."""
    with pytest.raises(Undecodable) as refusal:
        upcast(kind, version, data)
    assert refusal.value.code == code


def test_a_raised_event_keeps_its_envelope() -> None:
    """Id, time and run are those of when it happened, so that a repeat is still known as one."""
    sent = seal(testing.Happened(identifier="P", run=7), source="s", time=datetime.now(UTC), context=Context("cause"))
    (message,) = pack([sent])
    (received,) = unpack(message.body, message.content_type, {"Happened": Happened})
    assert (received.id, received.time, received.correlation, received.cause) == (
        sent.id,
        sent.time,
        sent.correlation,
        sent.cause,
    )
    assert (received.data.version, received.data.run, received.data.moved) == (2, 7, "nowhere")
