"""Old and new code side by side, as while a release is rolled out."""

from typing import ClassVar

from backbone import parked, testing
from backbone.database import Transaction
from backbone.handlers import Handler
from backbone.testing import Rig, Seen


class Happened(testing.Happened):
    """The same event after its meaning has changed."""

    version: ClassVar[int] = 2

    moved: str = ""


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
