"""The Idempotency-Key header."""

import asyncio
import uuid
from typing import Any

import httpx
import pytest
from project_api.parts import ENTER
from project_api.testing import World
from project_api.web import idempotency
from project_api.web.errors import Problem


def key() -> str:
    """A fresh key, quoted as the draft wants."""
    return f'"{uuid.uuid4()}"'


async def ask(world: World, body: dict[str, Any], header: str, who: dict[str, str] | None = None) -> httpx.Response:
    return await world.client.post(
        "/admin/v1/projects", json=body, headers={**(who or world.admin), "Idempotency-Key": header}
    )


@pytest.mark.parametrize(
    ("header", "expected"),
    [('"a"', "a"), (' "a b" ', "a b"), (r'"a\"b\\c"', 'a"b\\c'), ('"8e03978e-40d5"', "8e03978e-40d5")],
)
def test_a_quoted_string_is_a_key(header: str, expected: str) -> None:
    """A Structured Field string, with its two escapes."""
    assert idempotency.parse(header) == expected


@pytest.mark.parametrize(
    "header", ["", "a", '""', '"a', 'a"', r'"a\b"', '"a"b"', '"ä"', '"a", "b"', f'"{"x" * 256}"', "?1"]
)
def test_anything_else_is_a_400(header: str) -> None:
    """What is no quoted string, empty, or too long is refused with an example of a good one."""
    with pytest.raises(Problem) as refused:
        idempotency.parse(header)
    assert refused.value.status == 400
    assert "quoted string" in refused.value.message


async def test_a_repeat_has_the_same_answer(world: World) -> None:
    """The same key and body bring the first answer to the byte, with its headers, and make nothing."""
    header, body = key(), {"name": f"Once {key()}", "region": "region-1", "metadata": {"b": 1, "a": 2}}
    first = await ask(world, body, header)
    before = await world.rows("SELECT count(*) FROM projects")
    again = await ask(world, {**dict(reversed(body.items())), "metadata": {"a": 2, "b": 1}}, header)
    assert first.status_code == again.status_code == 201
    assert again.content == first.content
    assert again.headers["location"] == first.headers["location"]
    assert await world.rows("SELECT count(*) FROM projects") == before
    assert len(await world.outbox(first.json()["identifier"])) == 1


async def test_a_repeat_makes_nothing_though_its_name_is_free_again(world: World) -> None:
    """The project has another name by then; the repeat is still told of the first."""
    header, body = key(), {"name": f"Once {key()}", "region": "region-1"}
    first = await ask(world, body, header)
    path = f"/admin/v1/projects/{first.json()['identifier']}"
    renamed = await world.client.patch(path, json={"name": f"Another {key()}"}, headers=world.admin)
    assert renamed.status_code == 200, renamed.text
    before = await world.rows("SELECT count(*) FROM projects")
    assert (await ask(world, body, header)).content == first.content
    assert await world.rows("SELECT count(*) FROM projects") == before


async def test_a_tenant_admins_repeat_has_the_same_answer(world: World) -> None:
    """Though the key's row is under row-level security, and its reader enters their tenant in the same statement."""
    headers = {**world.tenant_admin(await world.tenant()), "Idempotency-Key": key()}
    body = {"name": f"Once {key()}", "region": "region-1"}
    first, again = [await world.client.post("/tenant/v1/admin/projects", json=body, headers=headers) for _ in range(2)]
    assert (first.status_code, again.content) == (201, first.content)


async def test_another_body_is_a_422(world: World) -> None:
    """A key that was used for something else is refused, with a link to the documentation."""
    header, name = key(), f"Twice {key()}"
    await ask(world, {"name": name, "region": "region-1"}, header)
    answer = await ask(world, {"name": name, "region": "region-1", "description": "x"}, header)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["Idempotency-Key"])
    assert 'rel="describedby"' in answer.headers["link"]


async def test_a_malformed_key_is_a_400(world: World) -> None:
    """Nothing is made for it."""
    before = await world.rows("SELECT count(*) FROM projects")
    answer = await ask(world, {"name": f"Bad {key()}", "region": "region-1"}, "not-quoted")
    assert (answer.status_code, answer.json()["success"]) == (400, False)
    assert await world.rows("SELECT count(*) FROM projects") == before


async def test_a_running_request_is_a_409(world: World) -> None:
    """While the first request holds the key's lock, a second one is told to come again."""
    header, body = key(), {"name": f"Running {key()}", "region": "region-1"}
    lock = idempotency.Key(f"-/{world.admin_id}/POST /admin/v1/projects", idempotency.parse(header), b"").lock
    async with world.parts.database.transaction() as tx:
        await tx.driver.execute("SELECT pg_advisory_xact_lock($1)", lock)
        answer = await ask(world, body, header)
    assert (answer.status_code, answer.headers["retry-after"]) == (409, "1")
    assert (await ask(world, body, header)).status_code == 201


async def test_of_many_at_once_one_works(world: World) -> None:
    """Ten equal requests at once make one project; each is answered 201 with it, or 409."""
    header, body = key(), {"name": f"Many {key()}", "region": "region-1"}
    answers = await asyncio.gather(*(ask(world, body, header) for _ in range(10)))
    assert {each.status_code for each in answers} <= {201, 409}
    made = {each.json()["identifier"] for each in answers if each.status_code == 201}
    assert len(made) == 1
    assert (await ask(world, body, header)).json()["identifier"] in made


async def test_an_error_of_the_work_is_kept(world: World) -> None:
    """A name that was taken stays the answer of that key, though the name is free by now."""
    header, name = key(), f"Taken {key()}"
    identifier = await world.create(name=name)
    first = await ask(world, {"name": name, "region": "region-1"}, header)
    await world.client.patch(f"/admin/v1/projects/{identifier}", json={"name": f"{name} moved"}, headers=world.admin)
    again = await ask(world, {"name": name, "region": "region-1"}, header)
    assert first.status_code == again.status_code == 422
    assert again.content == first.content


async def test_what_was_refused_before_is_not_kept(world: World) -> None:
    """After a 422 for a wrong field or a 401 the same key works for the mended request."""
    header, name = key(), f"Mended {key()}"
    assert (await ask(world, {"name": name, "region": "nowhere"}, header)).status_code == 422
    assert (await ask(world, {"name": name, "region": "region-1"}, header, {"x": "no token"})).status_code == 401
    assert (await ask(world, {"name": name, "region": "region-1"}, header)).status_code == 201


async def test_a_key_tells_others_nothing(world: World) -> None:
    """The same key of another user or tenant, or for another route, is another key."""
    header, tenant = key(), await world.tenant()
    first = await ask(world, {"name": f"Mine {header}", "region": "region-1"}, header)
    theirs = await world.client.post(
        "/tenant/v1/admin/projects",
        json={"name": f"Mine {header}", "region": "region-1"},
        headers={**world.tenant_admin(tenant), "Idempotency-Key": header},
    )
    elsewhere = await world.client.post(
        "/api/v1/business/projects",
        json={"name": f"Elsewhere {header}", "region": "region-1"},
        headers={**world.admin, "Idempotency-Key": header},
    )
    assert [each.status_code for each in (first, theirs, elsewhere)] == [201, 201, 201]
    assert len({each.json()["identifier"] for each in (first, theirs, elsewhere)}) == 3


async def test_the_database_itself_tells_a_key_to_its_user_alone(world: World) -> None:
    """A tenant's repeat is found under row-level security; with the same words for key and scope, nobody else's is."""
    header, tenant = key(), await world.tenant()
    body, headers = {"name": f"Ours {header}", "region": "region-1"}, world.tenant_admin(tenant)
    path = "/tenant/v1/admin/projects"
    answers = [
        await world.client.post(path, json=body, headers={**headers, "Idempotency-Key": header}) for _ in range(2)
    ]
    assert [each.status_code for each in answers] == [201, 201]
    assert answers[0].content == answers[1].content
    taken = await world.client.post(path, json=body, headers={**headers, "Idempotency-Key": key()})
    assert taken.status_code == 422
    count = "SELECT count(*) FROM idempotency_keys"
    async with world.parts.tenant_database.transaction() as tx:
        for user, expected in ((tenant.tenant_admin, 2), (tenant.members[0], 0)):
            await tx.execute(ENTER, {"tenant": str(tenant.id), "user": str(user)})
            assert await tx.driver.fetchval(count) == expected


async def test_keys_are_forgotten_in_time(world: World) -> None:
    """An answer is kept for as long as the setting says, and no longer."""
    header, body = key(), {"name": f"Old {key()}", "region": "region-1"}
    first = await ask(world, body, header)
    await idempotency.forget(world.parts.database, 24)
    assert (await ask(world, body, header)).content == first.content
    await world.rows(
        "UPDATE idempotency_keys SET created_at = now() - interval '25 hours' WHERE key = $1", header.strip('"')
    )
    await idempotency.forget(world.parts.database, 24)
    assert (await ask(world, body, header)).status_code == 422  # the name is taken; the key says nothing of it any more


async def test_however_many_keys_are_old_all_are_forgotten(world: World) -> None:
    """A round goes on until none is left, not to the end of one batch."""
    await world.rows(
        "INSERT INTO idempotency_keys (scope, key, fingerprint, status, headers, body, created_at) SELECT 'many',"
        " n::text, '', 201, '{}', '', now() - interval '25 hours' FROM generate_series(1, 5001) AS n"
    )
    await idempotency.forget(world.parts.database, 24)
    assert (await world.rows("SELECT count(*) FROM idempotency_keys WHERE scope = 'many'"))[0].count == 0
