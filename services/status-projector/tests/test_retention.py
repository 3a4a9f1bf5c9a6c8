"""What is left of removed projects."""

from itertools import chain

import pytest
from backbone.database import Database
from contracts import events
from status_projector import retention
from status_projector.facts import Mark
from status_projector.folding import fold_into
from status_projector.retention import forget_removed
from status_projector.tables import Entry
from status_projector.testing import failed, linked, orphan, requested, revoked, told
from structlog.testing import capture_logs

LEFT = "SELECT count(*) FROM events", "SELECT count(*) FROM user_status", "SELECT count(*) FROM project_status"
GONE = events.LinkRemoved(identifier="F81401", run=1, provider_project_id="p")


async def left_of(database: Database, *story: events.Event) -> list[int]:
    """How many rows of each table stay once a story of long ago is tidied."""
    async with database.transaction() as tx:
        entries = [Entry(e.data, Mark(e.time.replace(year=2020), e.id), e.data.model_dump_json()) for e in told(story)]
        await fold_into(tx, entries)
    await forget_removed(database, days=30)
    return [(await database.execute(each)).scalar_one() for each in LEFT]


async def test_a_removed_project_is_forgotten_whole(database: Database) -> None:
    """Its log, its users, its row."""
    assert await left_of(database, requested(events.RemovalRequested), revoked(1), GONE) == [0, 0, 0]


async def test_all_that_are_old_enough_are_forgotten(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many were removed in the minute since the last round; it is said."""
    monkeypatch.setattr(retention, "AT_ONCE", 1)
    stories = [
        [
            each.model_copy(update={"identifier": name})
            for each in (requested(events.RemovalRequested), revoked(1), GONE)
        ]
        for name in ("F81401", "F81402", "F81403")
    ]
    with capture_logs() as logs:
        assert await left_of(database, *chain(*stories)) == [0, 0, 0]
    assert [each["projects"] for each in logs if each["event"] == "projects.forgotten"] == [1, 1, 1]


async def test_what_was_not_removed_stays(database: Database) -> None:
    """A removal that failed, or another run."""
    assert await left_of(database, requested(events.RemovalRequested), failed(1)) == [2, 1, 1]


async def test_an_orphan_is_forgotten(database: Database) -> None:
    """It has no project whose removal could take it along."""
    assert await left_of(database, orphan()) == [0, 0, 0]


async def test_a_live_project_stays(database: Database) -> None:
    """However old it is."""
    assert await left_of(database, orphan(), requested(), linked()) == [3, 0, 1]
