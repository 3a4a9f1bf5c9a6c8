"""Every event of a project."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.events import RECORDED
from project_api.testing import World
from project_api.timeline import WORDS, in_words


async def record(  # noqa: PLR0917 - the columns of one event
    world: World, identifier: str, number: int, kind: str, data: dict[str, Any], run: int = 1
) -> None:
    await world.projector.execute(
        "INSERT INTO status_projector.events (event_id, identifier, run, type, time, data)"
        " VALUES (gen_random_uuid(), $1, $2, $3, $4, $5)",
        identifier,
        run,
        kind,
        datetime(2026, 1, 1, tzinfo=UTC) + timedelta(seconds=number),
        json.dumps(data),
    )


async def test_the_newest_event_comes_first(world: World) -> None:
    """In words for a person, paged as lists are."""
    identifier = await world.create()
    await record(world, identifier, 1, "ProjectCreated", {"participants": [{}, {}]})
    await record(world, identifier, 2, "LinkEnsured", {"outcome": "created"})
    await record(world, identifier, 3, "UserSynced", {"user_id": 7, "changed": ["create_user", "issue_key"]})
    found = (await world.get(f"/{identifier}/events?per_page=2")).json()
    assert [each["type"] for each in found["data"]] == ["UserSynced", "LinkEnsured"]
    assert (found["meta"]["total"], found["meta"]["last_page"]) == (3, 2)
    assert set(found["data"][0]) >= {"id", "type", "time", "run", "message"}
    assert found["data"][0]["message"] == "User 7 was synced: account made, credential issued."
    rest = (await world.get(f"/{identifier}/events?per_page=2&page=2")).json()
    assert [each["message"] for each in rest["data"]] == ["The project was created for 2 users."]


async def test_a_run_is_asked_for_once(world: World) -> None:
    """However often we ask for it again; what happens in it again is told again, and the next run's request too."""
    identifier = await world.create()
    for number, run in enumerate((2, 2, 2, 3)):
        await record(world, identifier, number, "ProvisioningRequested", {"reason": "members"}, run)
        await record(
            world, identifier, number, "ProvisioningDelayed", {"message": "The region is in maintenance."}, run
        )
    found = (await world.get(f"/{identifier}/events")).json()
    delayed = "The region is in maintenance."
    assert [(each["run"], each["message"]) for each in found["data"]] == [
        (3, delayed),
        (3, "The members were changed."),
        (2, delayed),
        (2, delayed),
        (2, delayed),
        (2, "The members were changed."),
    ]
    assert found["meta"]["total"] == 6


async def test_participants_are_called_by_name(world: World) -> None:
    """Also in what happened to them before; who has left is a number."""
    tenant = await world.tenant(1)
    identifier = await world.create(tenant)
    await record(world, identifier, 1, "UserRevoked", {"user_id": 7})
    await record(world, identifier, 2, "UserSynced", {"user_id": tenant.members[0], "changed": []})
    messages = [each["message"] for each in (await world.get(f"/{identifier}/events")).json()["data"]]
    assert messages == ["User 1 needed no change.", "User 7 has no access any more."]


def test_every_event_has_words() -> None:
    """No recorded event is shown by its type alone, whatever is missing of its data."""
    assert {event.__name__ for event in RECORDED} == set(WORDS)
    for name in WORDS:
        assert in_words(name, {}).endswith(".")
