"""Dead letters over HTTP, on the tables of all four services."""

import json
from collections.abc import AsyncIterator, Callable
from typing import Any, get_args

import asyncpg
import httpx
import pytest
from contracts.subscriptions import SUBSCRIPTIONS
from project_api.dead_letter_routes import Service
from project_api.parts import Parts

Bearer = Callable[..., dict[str, str]]

EVENT = {"specversion": "1.0", "type": "LinkEnsured", "traceparent": f"00-{'a' * 32}-{'b' * 16}-00", "data": {"run": 1}}


@pytest.fixture
def admin(bearer: Bearer) -> dict[str, str]:
    """An administrator's header."""
    return bearer(email="operator@uca.test")


@pytest.fixture
async def letters(urls: Any) -> AsyncIterator[dict[str, int]]:
    """Three letters: one that is JSON, one that is not, and one of another service and project; ids by message."""
    owner = await asyncpg.connect(urls.owner)
    ids = {}
    for message, schema, subject, body, reason in (
        ("json", "user_syncer", "F1", json.dumps(EVENT).encode(), "KeyError"),
        ("poison", "user_syncer", "F1", b"\xff\x00", "not_json"),
        ("other", "link_provisioner", "F2", b"{}", "wrong_schema"),
    ):
        ids[message] = await owner.fetchval(
            f"INSERT INTO {schema}.parked (message_id, routing_key, content_type, headers, body, reason, error, tries,"
            " subject, type) VALUES ($1, 'link.ensured', 'application/json', '{\"tries\": 3}', $2, $3, 'went wrong', 3,"
            " $4, 'LinkEnsured') RETURNING id",
            message,
            body,
            reason,
            subject,
        )
    yield ids
    for schema in ("user_syncer", "link_provisioner"):
        await owner.execute(f"DELETE FROM {schema}.parked")
    await owner.execute("DELETE FROM project_api.outbox; DELETE FROM project_api.audit")
    await owner.close()


async def _commands(parts: Parts) -> list[tuple[str, dict[str, Any]]]:
    rows = (await parts.database.execute("SELECT routing_key, body FROM outbox ORDER BY routing_key")).all()
    return [(row.routing_key, json.loads(row.body)["data"]) for row in rows]


def test_every_service_is_read() -> None:
    """A fifth service's letters are not forgotten."""
    assert set(get_args(Service)) == set(SUBSCRIPTIONS)


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"json", "poison", "other"}),
        ("service=user-syncer", {"json", "poison"}),
        ("project=F2", {"other"}),
        ("error=not_json", {"poison"}),
        ("error=WENT wrong", {"json", "poison", "other"}),
        ("since=2020-01-01T00:00:00Z&until=2020-01-02T00:00:00Z", set()),
        ("state=discarded", set()),
        ("per_page=1&page=4", set()),
    ],
)
@pytest.mark.usefixtures("letters")
async def test_letters_are_found_by_what_is_known_of_them(
    client: httpx.AsyncClient, admin: dict[str, str], query: str, found: set[str]
) -> None:
    """Service, project, error and time narrow the list, alone or together."""
    answer = await client.get(f"/admin/v1/dead-letters?{query}", headers=admin)
    assert answer.status_code == 200, answer.text
    assert {letter["message_id"] for letter in answer.json()["data"]} == found


async def test_a_letter_is_shown_whole(
    client: httpx.AsyncClient, admin: dict[str, str], letters: dict[str, int]
) -> None:
    """A JSON body is decoded, another one in base64; the trace is the event's."""
    shown = (await client.get(f"/admin/v1/dead-letters/user-syncer/{letters['json']}", headers=admin)).json()["data"]
    assert (shown["body"], shown["body_encoding"], shown["headers"]) == (EVENT, "json", {"tries": 3})
    assert shown["traceparent"] == EVENT["traceparent"]
    poison = (await client.get(f"/admin/v1/dead-letters/user-syncer/{letters['poison']}", headers=admin)).json()["data"]
    assert (poison["body"], poison["body_encoding"], poison["traceparent"]) == ("/wA=", "base64", None)
    assert (await client.get("/admin/v1/dead-letters/user-syncer/999999", headers=admin)).status_code == 404


@pytest.mark.parametrize("verb", ["replay", "discard"])
async def test_a_decision_is_a_command_and_on_record(
    client: httpx.AsyncClient, parts: Parts, admin: dict[str, str], letters: dict[str, int], verb: str
) -> None:
    """The owning service is asked, and the audit keeps who did."""
    answer = await client.post(f"/admin/v1/dead-letters/user-syncer/{letters['json']}/{verb}", headers=admin)
    assert (answer.status_code, answer.json()["count"]) == (202, 1)
    [(key, command)] = await _commands(parts)
    assert key == f"dead-letters.user-syncer.{verb}"
    assert (command["ids"], command["by"]) == ([letters["json"]], "operator@uca.test")
    rows = (await parts.database.execute("SELECT email, action, subject FROM audit")).all()
    assert [tuple(row) for row in rows] == [("operator@uca.test", f"dead_letters.{verb}", "user-syncer")]


async def test_many_are_chosen_by_filter_or_by_ids(
    client: httpx.AsyncClient, parts: Parts, admin: dict[str, str], letters: dict[str, int]
) -> None:
    """One command for each service."""
    by_filter = await client.post("/admin/v1/dead-letters/replay", json={"project": "F1"}, headers=admin)
    assert by_filter.json()["services"] == {"user-syncer": 2}
    both = {"ids": {"user-syncer": list(letters.values())}, "error": "nothing like it"}
    assert (await client.post("/admin/v1/dead-letters/replay", json=both, headers=admin)).json()["count"] == 0
    ids = {"user-syncer": [letters["json"], 999999], "link-provisioner": [letters["other"]]}
    by_ids = await client.post("/admin/v1/dead-letters/discard", json={"ids": ids}, headers=admin)
    assert by_ids.json()["services"] == {"link-provisioner": 1, "user-syncer": 1}
    assert [key for key, _ in await _commands(parts)] == [
        "dead-letters.link-provisioner.discard",
        "dead-letters.user-syncer.discard",
        "dead-letters.user-syncer.replay",
    ]


@pytest.mark.usefixtures("letters")
@pytest.mark.parametrize(
    "body",
    [
        {},
        {"service": None},
        {"project": "F1", "ids": None},
        {"ids": {}},
        {"ids": {"user-syncer": []}},
        {"since": "yesterday"},
    ],
)
async def test_an_empty_choice_is_refused(
    client: httpx.AsyncClient, admin: dict[str, str], body: dict[str, Any]
) -> None:
    """Nobody replays everything by leaving a field out, and nobody believes to have replayed what was not named."""
    assert (await client.post("/admin/v1/dead-letters/replay", json=body, headers=admin)).status_code == 422


async def test_a_decided_letter_is_a_conflict(
    client: httpx.AsyncClient, urls: Any, admin: dict[str, str], letters: dict[str, int]
) -> None:
    """What another person has just decided is not decided again."""
    owner = await asyncpg.connect(urls.owner)
    await owner.execute("UPDATE user_syncer.parked SET state = 'discarded' WHERE id = $1", letters["json"])
    await owner.close()
    path = f"/admin/v1/dead-letters/user-syncer/{letters['json']}/replay"
    assert (await client.post(path, headers=admin)).status_code == 409


async def test_tenants_see_no_dead_letters(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """They are of all tenants, so only admins see them."""
    assert (await client.get("/admin/v1/dead-letters", headers=bearer("tenant_admin", 5, 1))).status_code == 403
