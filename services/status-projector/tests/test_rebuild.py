"""The log folded again, while deliveries go on."""

import asyncio
import json

import pytest
from backbone.database import Database
from contracts.events import RECORDED, LinkEnsured
from status_projector import rebuild as module
from status_projector.facts import Mark
from status_projector.folding import fold_into
from status_projector.rebuild import TYPES, rebuild
from status_projector.tables import Entry
from status_projector.testing import linked, requested, synced, told

ROWS = "SELECT to_jsonb(t)::text FROM project_status AS t ORDER BY identifier"


async def fold(database: Database, entries: list[Entry]) -> None:
    """A transaction for each ten events."""
    for start in range(0, len(entries), 10):
        async with database.transaction() as tx:
            await fold_into(tx, entries[start : start + 10])


async def rows(database: Database) -> list[str]:
    """Every project's row, to the byte."""
    return list((await database.execute(ROWS)).scalars())


def story_of(identifier: str, users: int) -> list[Entry]:
    """A run with all its users."""
    story = [requested(users=users), linked(), *(synced(n) for n in range(1, users + 1))]
    envelopes = told([each.model_copy(update={"identifier": identifier}) for each in story])
    return [Entry(each.data, Mark(each.time, each.id), each.data.model_dump_json()) for each in envelopes]


def test_every_recorded_event_can_be_read_back() -> None:
    """The log has each under its class's name."""
    assert set(TYPES.values()) == set(RECORDED)


async def test_a_projector_that_runs_meanwhile_loses_nothing(database: Database) -> None:
    """Both take the same locks: what one of them has folded, the other sees."""
    stories = [story_of(f"P{number}", users=60) for number in range(3)]
    rebuilding = asyncio.create_task(again_and_again(database))
    await asyncio.gather(*(fold(database, story) for story in stories))
    rebuilding.cancel()
    await asyncio.gather(rebuilding, return_exceptions=True)
    folded = await rows(database)
    assert [json.loads(row)["version"] for row in folded] == [62, 62, 62]
    await rebuild(database)
    assert await rows(database) == folded


async def again_and_again(database: Database) -> None:
    """One rebuild after another."""
    while True:
        await rebuild(database)


async def test_projects_are_taken_in_batches(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them once, however many a batch holds."""
    monkeypatch.setattr(module, "AT_ONCE", 2)
    for number in range(5):
        await fold(database, story_of(f"P{number}", users=1))
    before = await rows(database)
    assert await rebuild(database) == 5
    assert await rows(database) == before


async def test_a_log_of_an_older_version_is_read_as_the_present_one(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The log outlives a change of meaning: what it has of the version before is brought up by the event's upcast."""
    await fold(database, story_of("P0", users=2))
    folded = await rows(database)
    async with database.transaction() as tx:
        await tx.execute(
            "UPDATE events SET data = data - 'provider_project_id' || jsonb_build_object('project', 'p')"
            " WHERE type = 'LinkEnsured'"
        )
    monkeypatch.setattr(LinkEnsured, "version", 2)
    monkeypatch.setattr(LinkEnsured, "upcasts", {1: lambda data: {**data, "provider_project_id": data["project"]}})
    await rebuild(database)
    assert await rows(database) == folded
    await fold(database, story_of("P1", users=2))
    found = await database.execute("SELECT identifier, version FROM events WHERE type = 'LinkEnsured'")
    assert sorted(found.all()) == [("P0", 1), ("P1", 2)]


async def test_a_batch_of_forgotten_projects_is_no_hindrance(database: Database) -> None:
    """Retention was quicker than the rebuild."""
    async with database.transaction() as tx:
        await module._fold_again(tx, ["GONE"])
    assert await rows(database) == []
