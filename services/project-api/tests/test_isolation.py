"""Nobody reaches another tenant's projects, on any route; nothing of them changes."""

import re
from typing import Any

import pytest
from fastapi import FastAPI
from project_api.api import projects_router
from project_api.testing import Tenant, World

BODIES: dict[str, Any] = {"/{identifier}/members": {"user_ids": []}, "/bulk-sync-status": {"identifiers": ["X"]}}


def routes() -> list[tuple[str, str]]:
    """Every call on one project."""
    found = [
        (method, route.path)  # type: ignore[attr-defined] # each of ours has both
        for route in projects_router.routes
        for method in sorted(route.methods)  # type: ignore[attr-defined] # as above
    ]
    return [(method, path) for method, path in found if "{identifier}" in path]


def test_every_route_is_tried() -> None:
    """The table below comes from the router itself, so a new route cannot be forgotten."""
    assert len(routes()) >= 20


@pytest.fixture(scope="module")
async def own(world: World) -> Tenant:
    """Whose project it is."""
    return await world.tenant()


@pytest.fixture(scope="module")
async def other(world: World) -> Tenant:
    """Who tries."""
    return await world.tenant()


@pytest.fixture(scope="module")
def tenants(own: Tenant, other: Tenant) -> tuple[Tenant, Tenant]:
    """Both."""
    return own, other


async def ask(world: World, call: tuple[str, str], prefix: str, identifier: str, headers: dict[str, str]) -> Any:
    method, path = call
    address = path.replace("{identifier}", identifier).replace("{user}", "1")
    body = BODIES.get(path, {} if method in ("POST", "PUT", "PATCH") else None)
    return await world.client.request(method, f"{prefix}{address}", headers=headers, json=body)


@pytest.mark.parametrize("call", routes(), ids=" ".join)
@pytest.mark.parametrize("prefix", ["/tenant/v1/admin/projects", "/api/v1/business/projects"])
@pytest.mark.parametrize("role", ["tenant_admin", "member"])
async def test_another_tenants_project_is_a_404(
    world: World, tenants: tuple[Tenant, Tenant], call: tuple[str, str], prefix: str, role: str
) -> None:
    """As if it weren't there: for the admin of another tenant and for its members, and nothing has changed."""
    own, other = tenants
    identifier = await world.create(own)
    before = await world.rows("SELECT p::text FROM projects AS p WHERE identifier = $1", identifier)
    headers = world.tenant_admin(other) if role == "tenant_admin" else world.member(other)
    answer = await ask(world, call, prefix, identifier, headers)
    assert (answer.status_code, answer.json()["success"]) == (404, False), answer.text
    assert await world.rows("SELECT p::text FROM projects AS p WHERE identifier = $1", identifier) == before
    assert len(await world.outbox(identifier)) == 1


@pytest.mark.parametrize("call", [*routes(), ("GET", ""), ("POST", ""), ("POST", "/bulk-sync-status")], ids=" ".join)
async def test_no_admin_is_a_403_on_admin_routes(world: World, own: Tenant, call: tuple[str, str]) -> None:
    """Even on their own project."""
    for headers in (world.tenant_admin(own), world.member(own)):
        answer = await ask(world, call, "/admin/v1/projects", "F8Z4RK2M", headers)
        assert (answer.status_code, answer.json()["success"]) == (403, False)
        assert answer.json()["message"]


async def test_members_read_what_they_are_in(world: World, own: Tenant) -> None:
    """A member of the tenant who isn't a participant sees nothing of the project; one who is may read, not change."""
    identifier = await world.create(own)
    stranger = world.bearer("member", 88_888_888, own.id)
    path = f"/api/v1/business/projects/{identifier}"
    assert (await world.client.get(f"{path}/status", headers=stranger)).status_code == 404
    mine = world.member(own)
    status = await world.client.get(f"{path}/status", headers=mine)
    assert status.status_code == 200
    assert not any(status.json()["actions"].values())
    assert (await world.client.post(f"{path}/cancel", headers=mine)).status_code == 403
    listed = await world.client.get("/api/v1/business/projects?per_page=100", headers=mine)
    assert identifier in {each["identifier"] for each in listed.json()["data"]}
    assert (await world.client.get("/api/v1/business/projects", headers=stranger)).json()["meta"]["total"] == 0


async def test_internal_members_read_what_they_are_in(world: World, own: Tenant) -> None:
    """Somebody without a tenant sees the projects they are in, of whatever tenant, and no others."""
    await world.rows("INSERT INTO users (id, name, email, role) VALUES (77777777, 'In', 'in@uca.test', 'member')")
    identifier, other = await world.create(own, user_ids=[77_777_777]), await world.create(own)
    await world.finish(identifier)
    mine = world.bearer("member", 77_777_777, None)
    seen = await world.client.get(f"/api/v1/business/projects/{identifier}/status", headers=mine)
    assert seen.json()["status"] == "active"
    assert (await world.client.get(f"/api/v1/business/projects/{other}/status", headers=mine)).status_code == 404


async def test_a_tenant_admin_reads_the_real_status(world: World, own: Tenant) -> None:
    """The read model's rows pass their own row-level security."""
    identifier = await world.create(own)
    await world.finish(identifier)
    await world.user_fact(identifier, own.members[0], "synced")
    path = f"/tenant/v1/admin/projects/{identifier}/status"
    found = (await world.client.get(path, headers=world.tenant_admin(own))).json()
    assert found["status"] == "active"
    assert "synced" in {user["status"] for user in found["project"]["users"]["local"]}


async def test_lists_show_ones_own(world: World, own: Tenant, other: Tenant) -> None:
    """Not even a filter by the other tenant, a bulk call or a search brings theirs up."""
    identifier = await world.create(own, name=f"Secret {own.id}")
    headers = world.tenant_admin(other)
    for query in ("", f"?tenant_id={own.id}", f"?search={identifier}", "?search=Secret", "?status=provisioning"):
        listed = await world.client.get(f"/tenant/v1/admin/projects{query}", headers=headers)
        assert identifier not in {each["identifier"] for each in listed.json()["data"]}
    path = "/tenant/v1/admin/projects/bulk-sync-status"
    bulk = await world.client.post(path, json={"identifiers": [identifier]}, headers=headers)
    assert (bulk.json()["data"], bulk.json()["fixed"]) == ([], 0)


@pytest.mark.parametrize("table", ["projects", "participants", "credential_reads"])
async def test_the_database_itself_holds_tenants_apart(world: World, own: Tenant, other: Tenant, table: str) -> None:
    """Without any WHERE the tenant's role sees one tenant's rows, none before, and writes none of another's."""
    await world.create(own)
    await world.create(other)
    if table == "credential_reads":
        await world.rows(
            "INSERT INTO credential_reads (identifier, user_id, key_id, tenant_id, read_by)"
            " VALUES ('X', 1, 'k', $1, 1), ('Y', 1, 'k', $2, 1)",
            own.id,
            other.id,
        )
    statement = f"SELECT DISTINCT tenant_id FROM {table}"
    async with world.parts.tenant_database.transaction() as tx:
        assert await tx.driver.fetch(statement) == []
        await tx.driver.execute("SELECT set_config('uca.tenant', $1, true)", str(own.id))
        assert [row[0] for row in await tx.driver.fetch(statement)] == [own.id]
        if table == "projects":
            changed = await tx.driver.execute("UPDATE projects SET name = name WHERE tenant_id = $1", other.id)
            assert changed == "UPDATE 0"


async def test_every_audience_has_the_same_routes(app: FastAPI) -> None:
    """The document names each call three times."""
    paths = app.openapi()["paths"]
    for prefix in ("/tenant/v1/admin/projects", "/api/v1/business/projects"):
        ours = {re.sub(f"^{prefix}", "", path) for path in paths if path.startswith(prefix)}
        assert ours == {
            re.sub("^/admin/v1/projects", "", path) for path in paths if path.startswith("/admin/v1/projects")
        }
