"""The fold on a real database."""

import asyncio
import json
import random
from collections.abc import Sequence
from contextlib import suppress

import pytest
from backbone.broker import Publisher
from backbone.database import Database, Transaction
from backbone.envelope import Envelope, Message, unpack
from contracts import events
from contracts.events import StatusChanged, Step
from contracts.status import Picture
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from prometheus_client import REGISTRY
from status_projector.announcing import Announcer
from status_projector.handlers import HANDLERS, fold_events
from status_projector.rebuild import rebuild
from status_projector.running import Running
from status_projector.testing import delayed, failed, linked, requested, revoked, synced, told

ROWS = {
    "project_status": "SELECT to_jsonb(t)::text FROM project_status AS t ORDER BY identifier",
    "user_status": "SELECT to_jsonb(t)::text FROM user_status AS t ORDER BY identifier, user_id",
}


class Watchers(Announcer):
    """Keeps what it is offered instead of sending it."""

    def __init__(self) -> None:
        super().__init__(Publisher("amqp://unused", name="test"), limit=1)
        self.messages: list[Message] = []

    def offer(self, message: Message) -> None:
        """Takes a message."""
        self.messages.append(message)

    def changes(self) -> list[StatusChanged]:
        """Every StatusChanged so far."""
        types = {StatusChanged.__name__: StatusChanged}
        return [each.data for m in self.messages for each in unpack(m.body, m.content_type, types)]


async def fold(database: Database, batch: Sequence[Envelope], watchers: Watchers | None = None) -> None:
    """One transaction of the service."""
    async with database.transaction() as tx:
        await fold_in(tx, batch, watchers or Watchers())


async def fold_in(tx: Transaction, batch: Sequence[Envelope], watchers: Watchers) -> None:
    """The handler, with nothing but watchers of note."""
    await fold_events(batch, tx=tx, announcer=watchers, running=Running(), slow_seconds=300)


async def rows(database: Database) -> dict[str, list[str]]:
    """Every row of the read model, to the byte."""
    return {table: list((await database.execute(sql)).scalars()) for table, sql in ROWS.items()}


def eventful() -> list[Envelope]:
    """Two runs of one project and one of another, with delays, failures, replaced reports and a NUL."""
    first = [requested(users=3), linked(), failed(2), synced(1), synced(2), failed(1), delayed(Step.USERS), synced(3)]
    again = requested(events.ProvisioningRequested, users=3, run=2, reason="retry")
    second = [again, linked(2), synced(1, 2), failed(2, 2), synced(3, 2), failed(3, 2)]
    other = [each.model_copy(update={"identifier": "B2"}) for each in [requested(users=1), linked(), synced(1)]]
    bad = failed(step=Step.LINK).model_copy(update={"identifier": "C3", "message": "no\x00good \\u0000"})
    return [*told(first), *told(second, after=60), *told(other), *told([bad])]


def test_handlers_match_the_subscriptions() -> None:
    """Every event that the service is bound to has a handler, and it says only what it may."""
    assert sorted(kind.routing_key for kind in HANDLERS) == sorted(SUBSCRIPTIONS["status-projector"])
    assert PUBLICATIONS["status-projector"] == (StatusChanged.routing_key,)


async def test_a_run_becomes_rows(database: Database) -> None:
    """The columns that project-api reads."""
    await fold(database, told([requested(), linked(), synced(1), failed(2)]))
    found = await rows(database)
    project, users = json.loads(found["project_status"][0]), [json.loads(row) for row in found["user_status"]]
    shown = Picture.model_validate(project["picture"])
    assert (project["tenant_id"], project["provider"], project["region"], project["run"]) == (5, "zadara", "r1", 1)
    assert (project["version"], project["status"], project["kind"], project["finished"]) == (
        4,
        "failed",
        "provision",
        True,
    )
    assert shown.status == "failed"
    assert [(user["status"], user["code"], user["message"]) for user in users] == [
        ("synced", None, None),
        ("failed", "refused", "the cloud refused"),
    ]


@pytest.mark.parametrize("seed", range(20))
async def test_order_duplicates_and_batches_leave_the_same_bytes(database: Database, seed: int) -> None:
    """Up to five copies of each event, shuffled, in transactions of any size."""
    chance = random.Random(seed)
    story = eventful()
    copies = [each for each in story for _ in range(chance.randint(1, 5))]
    chance.shuffle(copies)
    while copies:
        size = chance.randint(1, 9)
        await fold(database, copies[:size])
        copies = copies[size:]
    shuffled = await rows(database)
    await rebuild(database)
    assert await rows(database) == shuffled
    async with database.transaction() as tx:
        for table in ("events", *ROWS):
            await tx.execute(f"DELETE FROM {table}")
    await fold(database, story)
    assert await rows(database) == shuffled


async def test_replicas_fold_one_project_side_by_side(database: Database) -> None:
    """Four at once, each with events of the same projects in another order: nothing is lost, none wait in a ring."""
    chance = random.Random(7)
    story = [
        each
        for name in ("A1", "B2", "C3")
        for each in told(
            [
                event.model_copy(update={"identifier": name})
                for event in [requested(users=40), linked(), *(synced(n) for n in range(1, 41))]
            ]
        )
    ]

    async def replica() -> None:
        mine = list(story)
        chance.shuffle(mine)
        for start in range(0, len(mine), 10):
            await fold(database, mine[start : start + 10])

    await asyncio.gather(*(replica() for _ in range(4)))
    projects = [json.loads(row) for row in (await rows(database))["project_status"]]
    assert [(p["version"], p["status"], p["picture"]["progress"]["completed"]) for p in projects] == [
        (42, "active", 42)
    ] * 3


async def test_watchers_are_told_of_each_commit_once(database: Database) -> None:
    """Not of an opening picture, nor of a repeat; the steps that moved are named."""
    watchers, story = Watchers(), told([requested(), linked(), synced(1), synced(2)])
    for batch in (story[:1], story[1:2], story[1:2], story[2:]):
        await fold(database, batch, watchers)
    assert [(change.read_version, change.steps) for change in watchers.changes()] == [
        (2, ("link", "users")),
        (4, ("users", "active")),
    ]
    assert Picture.model_validate_json(watchers.changes()[-1].picture).status == "active"


async def test_nothing_is_told_of_what_was_not_committed(database: Database) -> None:
    """A transaction that fails leaves neither rows nor messages."""
    watchers = Watchers()
    with suppress(RuntimeError):
        async with database.transaction() as tx:
            await fold_in(tx, told([requested(), linked()]), watchers)
            raise RuntimeError
    assert (await rows(database))["project_status"] == []
    assert watchers.messages == []


async def test_a_run_that_ended_is_measured_once(database: Database) -> None:
    """However often its events come."""
    labels = {"provider": "zadara", "region": "r1", "outcome": "active"}

    def count() -> float:
        return REGISTRY.get_sample_value("uca_provisioning_duration_seconds_count", labels) or 0

    before = count()
    story = told([requested(users=1), linked(), synced(1)])
    for batch in (story, story, told([synced(1)], after=60)):
        await fold(database, batch)
    assert count() == before + 1


async def test_a_user_taken_away_by_one_run_stays_on_record(database: Database) -> None:
    """Row by user, of the newest run that told something of them."""
    await fold(database, told([requested(), linked(), synced(1), synced(2)]))
    again = requested(events.ProvisioningRequested, users=1, run=2, reason="members")
    await fold(database, told([again, linked(2), revoked(2, 2)], after=60))
    users = [json.loads(row) for row in (await rows(database))["user_status"]]
    assert [(user["user_id"], user["run"], user["status"]) for user in users] == [(1, 1, "synced"), (2, 2, "revoked")]
