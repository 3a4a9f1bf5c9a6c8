"""Who may be named in a project, by the directory as it is now."""

import pytest
from project_api.testing import World

PATH = "/tenant/v1/admin/projects"


@pytest.mark.parametrize("change", ["create", "members"])
async def test_who_has_just_joined_a_tenant_may_be_named(world: World, change: str) -> None:
    """By its tenant_admin, though the cache has them without a tenant."""
    tenant = await world.tenant()
    new = {"name": "W", "email": f"{change}{tenant.id}@uca.test", "role": "member"}
    user = (await world.client.post("/admin/v1/users", json=new, headers=world.admin)).json()["data"]["id"]
    identifier = await world.create(tenant)
    await world.finish(identifier)
    await world.create(user_ids=[user, tenant.tenant_admin])
    joined = {"tenant_id": tenant.id}
    answer = await world.client.patch(f"/admin/v1/users/{user}", json=joined, headers=world.admin)
    assert answer.status_code == 200
    mine = world.tenant_admin(tenant)
    if change == "create":
        body = {"name": "Joined", "region": "region-1", "user_ids": [user]}
        answer = await world.client.post(PATH, json=body, headers=mine)
    else:
        answer = await world.client.put(f"{PATH}/{identifier}/members", json={"user_ids": [user]}, headers=mine)
    assert answer.status_code == {"create": 201, "members": 202}[change], answer.text
