"""What a create or a run would do, told by the directory as it is now."""

from typing import Any

import pytest
from clouds.port import Capabilities, Snapshot
from project_api import previewing, verification
from project_api.auth.tokens import Principal
from project_api.parts import Caller
from project_api.testing import Tenant, World

USERS = "/admin/v1/users"


class Cloud:
    """A cloud that nothing is on."""

    capabilities = Capabilities()


async def previewed(world: World, tenant: Tenant, identifier: str) -> list[set[int]]:
    """Who would be in: by the preview of a create, and by that of the project's next run."""
    body = {"name": "Previewed", "region": "region-1", "tenant_id": tenant.id}
    created = (await world.post("/provision-simulated", json=body)).json()
    caller = Caller(Principal(world.admin_id, "admin", None, ""), world.parts)
    run: Any = await previewing.run(caller, identifier)
    return [{each["id"] for each in found["data"]["participants"]} for found in (created, run)]


async def test_a_change_of_the_directory_is_previewed(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user who was added since the tenant was cached is listed, and one who was removed is not."""

    async def nothing(*_: object) -> tuple[Any, None, Snapshot]:
        return Cloud(), None, previewing.NOTHING_YET

    monkeypatch.setattr(verification, "read_cloud", nothing)
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    new = {"name": "New", "email": f"previewed{tenant.id}@uca.test", "role": "member", "tenant_id": tenant.id}
    added = (await world.client.post(USERS, json=new, headers=world.admin)).json()["data"]["id"]
    for listed in await previewed(world, tenant, identifier):
        assert {added, *tenant.members} < listed
    assert (await world.client.delete(f"{USERS}/{added}", headers=world.admin)).status_code == 200
    for listed in await previewed(world, tenant, identifier):
        assert added not in listed


async def test_a_preview_in_a_removed_tenant_is_a_422(world: World) -> None:
    """As the create is, though the tenant is cached."""
    new = await world.client.post("/admin/v1/tenants", json={"name": "Short-lived"}, headers=world.admin)
    tenant = new.json()["data"]["id"]
    body = {"name": "Previewed", "region": "region-1", "tenant_id": tenant}
    assert (await world.post("/provision-simulated", json=body)).status_code == 200
    assert (await world.client.delete(f"/admin/v1/tenants/{tenant}", headers=world.admin)).status_code == 200
    answer = await world.post("/provision-simulated", json=body)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["tenant_id"])
