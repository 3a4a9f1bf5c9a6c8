"""How many statements an answer costs: the same for one user as for 500."""

from collections.abc import Awaitable, Callable

import pytest
from project_api import beforehand
from project_api.testing import Tenant, World

MOST = 500

Ask = Callable[[World, Tenant, str], Awaitable[object]]


async def create(world: World, tenant: Tenant, _: str) -> None:
    body = {"name": f"Counted {tenant.id}", "region": "region-1", "tenant_id": tenant.id, "user_ids": tenant.members}
    answer = await world.client.post(
        "/admin/v1/projects", json=body, headers={**world.admin, "Idempotency-Key": f'"{tenant.id}"'}
    )
    assert answer.status_code == 201


async def status(world: World, _: Tenant, identifier: str) -> None:
    assert (await world.get(f"/{identifier}/status")).status_code == 200


async def detail(world: World, _: Tenant, identifier: str) -> None:
    assert (await world.get(f"/{identifier}")).status_code == 200


async def listed(world: World, tenant: Tenant, _: str) -> None:
    assert (await world.get(f"?tenant_id={tenant.id}")).json()["meta"]["total"] == 1


async def provision(world: World, _: Tenant, identifier: str) -> None:
    await world.finish(identifier)
    with world.statements() as seen:
        assert (await world.post(f"/{identifier}/provision")).status_code == 202
    assert len(seen) == 3


@pytest.mark.parametrize(
    ("ask", "statements"),
    [(create, 1), (status, 1), (detail, 1), (listed, 2), (provision, None)],
    ids=["create", "status", "detail", "list", "provision"],
)
@pytest.mark.parametrize("members", [1, MOST])
async def test_statements_do_not_grow(
    world: World, ask: Ask, statements: int | None, members: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A create is a write; a status or a detail is one read; a list is its page and its total."""
    tenant = await world.tenant(members)
    identifier = "" if ask is create else await world.create(tenant)
    if ask is create:  # the directory's cache knows the tenant by then, and the second's look was made
        monkeypatch.setattr(beforehand, "FRESH", 600.0)
        await world.parts.beforehand.known()
        await world.parts.directory.people(tenant.id, [world.admin_id, *tenant.members])
    with world.statements() as seen:
        await ask(world, tenant, identifier)
    if statements is not None:
        assert len(seen) == statements, seen


@pytest.mark.parametrize("without_tenant", [False, True])
async def test_a_tenants_status_is_one_too(world: World, without_tenant: bool) -> None:
    """Who isn't an admin enters their tenant in the statement that reads, and in one before those of other answers."""
    tenant = await world.tenant()
    identifier = await world.create(None if without_tenant else tenant, user_ids=[tenant.tenant_admin])
    for rest, statements in ((f"/{identifier}/status", 1), (f"/{identifier}", 2), ("", 3)):
        with world.statements() as seen:
            path = f"/tenant/v1/admin/projects{rest}"
            assert (await world.client.get(path, headers=world.tenant_admin(tenant))).status_code == 200
        assert len(seen) == statements
