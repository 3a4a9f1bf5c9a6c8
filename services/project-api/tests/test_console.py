"""The console's page and files, and signing in to it."""

import re

from project_api.console import codes
from project_api.console.files import read
from project_api.testing import World


async def code_of(world: World) -> str:
    async with world.parts.database.transaction() as tx:
        return await codes.make(tx, world.admin_id)


async def test_the_page_is_cached_by_its_content(world: World) -> None:
    """The page comes with a strict policy and a tag, and a browser that has it gets a 304."""
    page = await world.client.get("/console")
    assert page.status_code == 200
    assert "'unsafe-inline'" not in page.headers["content-security-policy"]
    again = await world.client.get("/console", headers={"If-None-Match": page.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_every_file_that_is_named_is_there(world: World) -> None:
    """Whatever the page or a script names is served, and nothing beside the console's own files is."""
    known = read()
    texts = [file.content.decode() for file in known.values()]
    named = {name for text in texts for name in re.findall(r'(?:"/console/|"\./)([\w-]+\.(?:js|css|svg))"', text)}
    assert named == set(known) - {"index.html"}
    for name in named:
        assert (await world.client.get(f"/console/{name}")).status_code == 200
    assert (await world.client.get("/console/routes.py")).status_code == 404


def test_the_whole_console_is_small() -> None:
    """All files together are less than 40 kB on the wire."""
    assert sum(len(file.compressed) for file in read().values()) < 40_000


async def test_a_code_signs_in_once(world: World) -> None:
    """A code is exchanged for an HttpOnly cookie and its CSRF pair; a second time it is refused."""
    code = await code_of(world)
    first = await world.client.post("/console/session", json={"code": code})
    assert first.status_code == 200
    cookies = first.headers.get_list("set-cookie")
    assert any(each.startswith("uca_token=") and "HttpOnly" in each for each in cookies)
    assert any(each.startswith("XSRF-TOKEN=") and "HttpOnly" not in each for each in cookies)
    world.client.cookies.clear()
    assert (await world.client.post("/console/session", json={"code": code})).status_code == 401


async def test_only_a_codes_hash_is_kept(world: World) -> None:
    """Who reads the database cannot sign in with what is there."""
    code = await code_of(world)
    rows = await world.rows("SELECT hash FROM console_codes")
    assert rows
    assert all(code.encode() not in row.hash for row in rows)


async def test_an_old_code_is_refused(world: World) -> None:
    """A code whose time is over signs nobody in."""
    code = await code_of(world)
    await world.rows("UPDATE console_codes SET expires_at = now() - interval '1 second'")
    assert (await world.client.post("/console/session", json={"code": code})).status_code == 401


async def test_a_token_signs_in_as_well(world: World) -> None:
    """One's own token becomes the session; a bad one is a 401, and both at once are a 422."""
    token = world.admin["Authorization"].removeprefix("Bearer ")
    assert (await world.client.post("/console/session", json={"token": token})).status_code == 200
    world.client.cookies.clear()
    assert (await world.client.post("/console/session", json={"token": "a.b.c"})).status_code == 401
    assert (await world.client.post("/console/session", json={"token": token, "code": "x"})).status_code == 422


async def test_the_session_says_who_is_signed_in(world: World) -> None:
    """Without a cookie nobody is, which is no error; with Bearer or cookie it is its owner."""
    assert (await world.client.get("/console/session")).json()["data"]["user"] is None
    mine = await world.client.get("/console/session", headers=world.admin)
    assert mine.json()["data"]["user"]["id"] == world.admin_id


async def test_a_project_is_previewed_before_it_is_created(world: World) -> None:
    """The preview names everybody with role and reasons and what would change, and stores nothing."""
    tenant = await world.tenant(members=2)
    body = {"name": "A preview", "region": "region-1", "tenant_id": tenant.id, "member_user_ids": [tenant.members[0]]}
    answer = await world.client.post("/admin/v1/projects/provision-simulated", json=body, headers=world.admin)
    assert answer.status_code == 200
    data = answer.json()["data"]
    chosen = next(each for each in data["participants"] if each["id"] == tenant.members[0])
    assert chosen["reasons"] == ["explicit", "tenant"]
    assert data["changes"][0]["actions"] == ["create_project"]
    assert data["calls"] == sum(each["calls"] for each in data["changes"])
    assert not await world.rows("SELECT FROM projects WHERE name = 'A preview'")


async def test_a_preview_refuses_what_a_create_would(world: World) -> None:
    """An unknown region is a 422 in both."""
    body = {"name": "A preview", "region": "nowhere"}
    answer = await world.client.post("/admin/v1/projects/provision-simulated", json=body, headers=world.admin)
    assert answer.status_code == 422
