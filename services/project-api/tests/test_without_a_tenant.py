"""Who of a tenant reads a project that has none, and that reading is all that they may."""

import asyncio
from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from backbone.database import Connection
from project_api import listing
from project_api.api import projects_router
from project_api.testing import Headers, Tenant, World

PATH = "/api/v1/business/projects"
READS = {("GET", "/{identifier}"), ("GET", "/{identifier}/status"), ("GET", "/{identifier}/events")}
BODIES: dict[str, Any] = {"/{identifier}/members": {"user_ids": []}}


def changes() -> list[tuple[str, str]]:
    """Every call on one project that is not among the reads: a new route is tried by itself."""
    found = {(method, route.path) for route in projects_router.routes for method in route.methods}  # type: ignore[attr-defined] # each of ours has both
    return sorted(each for each in found - READS if "{identifier}" in each[1])


As = Callable[[World, Tenant], Headers]
PEOPLE: dict[str, As] = {"tenant_admin": World.tenant_admin, "member": World.member}


@pytest.fixture(scope="module")
async def own(world: World) -> Tenant:
    """Whose people are named."""
    return await world.tenant()


@pytest.fixture(params=PEOPLE)
def headers(request: pytest.FixtureRequest, world: World, own: Tenant) -> Headers:
    """Its admin and one of its members in turn."""
    return PEOPLE[request.param](world, own)


def named(own: Tenant) -> list[int]:
    """Both, as participants."""
    return [own.tenant_admin, own.members[0]]


async def reads(world: World, identifier: str, headers: Headers) -> set[int]:
    """The answers of all that reads the project, lists and push among them."""
    found = set()
    for rest in ("", "/status", "/status?wait=1", "/events"):
        found.add((await world.client.get(f"{PATH}/{identifier}{rest}", headers=headers)).status_code)
    for query in ("per_page=100", f"search={identifier}"):
        listed = (await world.client.get(f"{PATH}?{query}", headers=headers)).json()
        found.add(200 if identifier in {each["identifier"] for each in listed["data"]} else 404)
    assert listed["meta"]["total"] == len(listed["data"])
    fields = {"socket_id": "1.1", "channel_name": f"private-projects.{identifier}"}
    signed = await world.client.post("/broadcasting/auth", data=fields, headers=headers)
    found.add({200: 200, 403: 404}[signed.status_code])
    return found


async def test_whom_it_names_reads_it(world: World, own: Tenant, headers: Headers) -> None:
    """As detail, status, events and in lists, and may watch it: a tenant's member, and its admin as they do."""
    identifier = await world.create(user_ids=named(own))
    assert await reads(world, identifier, headers) == {200}


async def test_whom_it_does_not_name_sees_nothing(world: World, own: Tenant, headers: Headers) -> None:
    """Somebody else of the tenant is named, or nobody of it."""
    for user_ids in ([], [own.members[1]]):
        assert await reads(world, await world.create(user_ids=user_ids), headers) == {404}


async def test_whom_another_tenants_names_sees_nothing(world: World, own: Tenant, headers: Headers) -> None:
    """A project of another tenant is a 404 to them, as to whom it does not name."""
    identifier = await world.create(await world.tenant(), user_ids=named(own))
    assert await reads(world, identifier, headers) == {404}


async def test_who_was_taken_out_sees_nothing_any_more(world: World, own: Tenant, headers: Headers) -> None:
    """From the command on, whatever the cloud still has of them."""
    identifier = await world.create(user_ids=named(own))
    await world.finish(identifier)
    assert await reads(world, identifier, headers) == {200}
    await world.user_fact(identifier, own.members[0], "revoked")
    answer = await world.client.put(
        f"/admin/v1/projects/{identifier}/members", json={"user_ids": [own.members[1]]}, headers=world.admin
    )
    assert answer.status_code == 202
    assert await reads(world, identifier, headers) == {404}


@pytest.mark.parametrize("call", changes(), ids=" ".join)
async def test_whom_it_names_changes_nothing(
    world: World, own: Tenant, headers: Headers, call: tuple[str, str]
) -> None:
    """A 403 in words for a member and for a tenant's admin, who is no admin of what has no tenant; a credential of
    somebody else is none of theirs."""
    identifier = await world.create(user_ids=named(own))
    before = await world.rows("SELECT p::text FROM projects AS p WHERE identifier = $1", identifier)
    method, path = call
    address = path.replace("{identifier}", identifier).replace("{user}", str(own.members[1]))
    body = BODIES.get(path, {} if method in ("POST", "PUT", "PATCH") else None)
    answer = await world.client.request(method, f"{PATH}{address}", headers=headers, json=body)
    assert (answer.status_code, answer.json()["success"]) == (403, False), answer.text
    assert answer.json()["message"]
    assert await world.rows("SELECT p::text FROM projects AS p WHERE identifier = $1", identifier) == before
    assert len(await world.outbox(identifier)) == 1


async def test_a_command_on_what_is_not_seen_is_a_404(world: World, own: Tenant, headers: Headers) -> None:
    """Nobody learns by it that there is such a project."""
    identifier = await world.create(user_ids=[own.members[1]])
    assert (await world.client.post(f"{PATH}/{identifier}/cancel", headers=headers)).status_code == 404


async def test_a_bulk_call_leaves_it_out(world: World, own: Tenant) -> None:
    """As what is not there: a tenant's admin has nothing put right in it."""
    identifier = await world.create(user_ids=named(own))
    await world.rows("UPDATE projects SET open = false WHERE identifier = $1", identifier)
    answer = await world.client.post(
        f"{PATH}/bulk-sync-status", json={"identifiers": [identifier]}, headers=world.tenant_admin(own)
    )
    assert (answer.json()["data"], answer.json()["fixed"]) == ([], 0)


async def test_the_status_is_the_real_one_without_buttons(world: World, own: Tenant, headers: Headers) -> None:
    """The read model's rows are there for them too, every participant's among them, and no action is open."""
    identifier = await world.create(user_ids=[*named(own), (await world.tenant()).members[0]])
    await world.finish(identifier)
    await world.user_fact(identifier, own.members[0], "synced")
    found = (await world.client.get(f"{PATH}/{identifier}/status", headers=headers)).json()
    assert found["status"] == "active"
    users = found["project"]["users"]["local"]
    assert {user["id"] for user in users} == {
        user["id"] for user in (await world.status(identifier))["project"]["users"]["local"]
    }
    assert {user["id"] for user in users if user["status"] == "synced"} == {own.members[0]}
    detail = (await world.client.get(f"{PATH}/{identifier}", headers=headers)).json()["data"]
    assert (detail["tenant_id"], detail["tenant"], len(detail["users"])) == (None, None, len(users))
    assert not any(found["actions"].values())
    assert not any(detail["actions"].values())


async def test_its_events_are_told_in_full(world: World, own: Tenant, headers: Headers) -> None:
    """The timeline is an admin's, with the names of the others in it."""
    identifier = await world.create(user_ids=named(own))
    await world.finish(identifier)
    for user in named(own):
        await world.projector.execute(
            "INSERT INTO status_projector.events (event_id, identifier, run, type, time, data)"
            " VALUES (gen_random_uuid(), $1, 1, 'UserSynced', now(), jsonb_build_object('user_id', $2::bigint))",
            identifier,
            user,
        )
    found = (await world.client.get(f"{PATH}/{identifier}/events", headers=headers)).json()
    assert found["data"] == (await world.get(f"/{identifier}/events")).json()["data"]
    assert (found["meta"]["total"], [each["message"] for each in found["data"]]) == (
        2,
        ["User 1 needed no change.", "User 0 needed no change."],
    )


async def test_a_poll_is_one_statement_and_a_304(world: World, own: Tenant, headers: Headers) -> None:
    """By the fast path, as of a project of the tenant; the tag is not an admin's, who has other buttons."""
    identifier = await world.create(user_ids=named(own))
    path = f"{PATH}/{identifier}/status"
    first = await world.client.get(path, headers=headers)
    with world.statements() as seen:
        again = await world.client.get(path, headers={**headers, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, len(seen)) == (304, 1)
    admins = (await world.get(f"/{identifier}/status")).headers["etag"]
    known = await world.client.get(path, headers={**headers, "If-None-Match": admins})
    assert (known.status_code, any(known.json()["actions"].values())) == (200, False)


@pytest.mark.usefixtures("news_alone")
async def test_a_long_poll_ends_where_they_are_taken_out(world: World, own: Tenant, headers: Headers) -> None:
    """Who waits for news of it is told a 404 by the news of the run that took them out."""
    identifier = await world.create(user_ids=named(own))
    path = f"{PATH}/{identifier}/status"
    tag = (await world.client.get(path, headers=headers)).headers["etag"]
    waiting = asyncio.create_task(world.client.get(f"{path}?wait=30", headers={**headers, "If-None-Match": tag}))
    await world.waiter()
    await world.rows("DELETE FROM participants WHERE identifier = $1", identifier)
    world.tell(identifier)
    assert (await asyncio.wait_for(waiting, 10)).status_code == 404


async def test_lists_have_both_in_one_order(world: World) -> None:
    """The tenant's and those without one that name the caller: page by page, newest first, with the exact total."""
    own = await world.tenant()
    made = [
        await world.create(own, name=f"B {own.id}"),
        await world.create(user_ids=named(own), name=f"A {own.id}"),
        await world.create(own, name=f"D {own.id}", region="region-1"),
        await world.create(user_ids=named(own), name=f"C {own.id}"),
    ]
    await world.create(user_ids=[own.members[1]], name=f"E {own.id}")
    for identifier in made[:2]:
        await world.finish(identifier)
    for headers in (world.tenant_admin(own), world.member(own)):

        async def listed(query: str, headers: Headers = headers) -> tuple[list[str], int]:
            found = (await world.client.get(f"{PATH}?{query}", headers=headers)).json()
            return [each["identifier"] for each in found["data"]], found["meta"]["total"]

        b, a, d, c = made
        assert await listed("") == ([c, d, a, b], 4)
        assert await listed("per_page=15&page=2") == ([], 4)
        assert [await listed(f"per_page=1&page={page}") for page in (1, 2, 3, 4)] == [
            ([each], 4) for each in (c, d, a, b)
        ]
        assert await listed("sort=name") == ([a, b, c, d], 4)
        assert await listed("status=active") == ([a, b], 2)
        assert await listed("status=provisioning") == ([c, d], 2)
        assert await listed(f"search={own.id}") == ([c, d, a, b], 4)
        assert await listed(f"search={c.lower()}") == ([c], 1)
        assert await listed("region=region-1&provider=zadara") == ([c, d, a, b], 4)
        assert await listed(f"tenant_id={own.id}") == ([d, b], 2)


async def test_a_large_total_is_a_good_estimate_for_a_tenant(
    world: World, urls: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though what it may see is said twice, by the statement and by row-level security; a member's is a low one."""
    own, other = await world.tenant(), await world.tenant()
    for tenant, count in ((own, 2000), (other, 6000)):
        await world.rows(
            "INSERT INTO projects (identifier, tenant_id, name, provider, region, created_by, command, participants,"
            " deadline_at) SELECT 'MANY' || $1::bigint || '-' || n, $1, 'Many ' || n, 'zadara', 'region-1', 1, '{}', 0,"
            " now() FROM generate_series(1, $2::int) AS n",
            tenant.id,
            count,
        )
    owner = await asyncpg.connect(urls.owner)
    await world.rows(
        "INSERT INTO participants (identifier, tenant_id, user_id, position, email, name, role, reasons)"
        " SELECT identifier, tenant_id, $2, 0, 'many@uca.test', 'Many', 'member', '{tenant}' FROM projects"
        " WHERE tenant_id = $1",
        own.id,
        own.members[0],
    )
    try:
        await owner.execute("ANALYZE project_api.projects, project_api.participants")
        monkeypatch.setattr(listing, "EXACT", 100)
        found = (await world.client.get(PATH, headers=world.tenant_admin(own))).json()
        members = (await world.client.get(PATH, headers=world.member(own))).json()
    finally:
        await world.rows("DELETE FROM projects WHERE identifier LIKE 'MANY%'")
        await owner.execute("ANALYZE project_api.projects, project_api.participants")
        await owner.close()
    assert 1500 <= found["meta"]["total"] <= 2500
    # Whether who is in the tenant's projects is in this one the planner takes for chance; it is no worse than that.
    assert members["meta"]["total"] >= 400


async def enter(connection: Connection, tenant: Tenant, user: object) -> None:
    """Sets what row-level security asks for."""
    entered = "SELECT set_config('uca.tenant', $1, true), set_config('uca.user', $2, true)"
    await connection.driver.execute(entered, str(tenant.id), str(user))


@pytest.mark.parametrize("relation", ["projects", "participants", "status_projector.project_status"])
async def test_the_database_itself_shows_whom_it_names_alone(world: World, relation: str) -> None:
    """Without any WHERE the tenant's role sees of the projects without a tenant those that name the user who is set,
    none where no user is, and writes none of them."""
    own = await world.tenant()
    mine, theirs = await world.create(user_ids=named(own)), await world.create(user_ids=[own.members[1]])
    elsewhere, of_tenant = await world.create(await world.tenant(), user_ids=named(own)), await world.create(own)
    for identifier in (mine, theirs, elsewhere, of_tenant):
        await world.finish(identifier)
    for user, seen in ((own.members[0], {of_tenant, mine}), ("", {of_tenant})):
        async with world.parts.tenant_database.transaction() as tx:
            await enter(tx, own, user)
            found = {row[0] for row in await tx.driver.fetch(f"SELECT identifier FROM {relation}")}
            assert found & {mine, theirs, elsewhere, of_tenant} == seen
            if relation == "projects":
                assert await tx.driver.execute("UPDATE projects SET name = name WHERE tenant_id IS NULL") == "UPDATE 0"
                assert await tx.driver.fetch("SELECT FROM projects WHERE tenant_id IS NULL FOR UPDATE") == []
            if relation == "participants":
                assert await tx.driver.execute("DELETE FROM participants WHERE tenant_id IS NULL") == "DELETE 0"


async def test_nobody_is_named_by_their_own_hand(world: World) -> None:
    """The tenant's role adds no participant to a project without a tenant."""
    own = await world.tenant()
    identifier = await world.create()
    row = (
        "INSERT INTO participants (identifier, user_id, position, email, name, role, reasons)"
        " VALUES ($1, $2, 9, 'e', 'n', 'member', '{}')"
    )
    async with world.parts.tenant_database.reading(together=True) as connection:
        await enter(connection, own, own.members[0])
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await connection.driver.execute(row, identifier, own.members[0])
