"""One project in full, and its edits."""

import asyncio
from typing import Any

from project_api.testing import World


async def test_the_detail_has_everything(world: World) -> None:
    """What was sent, the users with their reasons, and what is open now."""
    tenant = await world.tenant()
    sent = {
        "description": "For pay",
        "type": "vpc",
        "availability_zone": "az-1",
        "metadata": {"a": 1},
        "user_policies": ["x"],
    }
    identifier = await world.create(tenant, client_id=tenant.members[0], **sent)
    answer = await world.get(f"/{identifier}")
    data = answer.json()["data"]
    assert {name: data[name] for name in sent} == sent
    assert (data["id"], data["client_id"], data["tenant"]["id"]) == (identifier, tenant.members[0], tenant.id)
    assert answer.headers["etag"] == '"v1"'
    client = next(user for user in data["users"] if user["id"] == tenant.members[0])
    assert (client["reasons"], client["status"], client["role"]) == (["tenant", "client"], "not_started", "member")
    assert data["actions"]["can_delete"] is True


async def test_what_was_sent_changes_and_nothing_else(world: World) -> None:
    """PATCH and PUT change name, description or metadata, and the status shows the new name at once."""
    identifier = await world.create(description="Old", metadata={"a": 1})
    path = f"/admin/v1/projects/{identifier}"
    answer = await world.client.patch(path, json={"name": f"New {identifier}"}, headers=world.admin)
    data = answer.json()["data"]
    assert (answer.status_code, answer.headers["etag"]) == (200, '"v2"')
    assert (data["name"], data["description"], data["metadata"]) == (f"New {identifier}", "Old", {"a": 1})
    assert (await world.status(identifier))["project"]["name"] == f"New {identifier}"
    answer = await world.client.put(path, json={"description": None, "metadata": None}, headers=world.admin)
    assert (answer.json()["data"]["description"], answer.json()["data"]["metadata"]) == ("", None)


async def test_if_match_refuses_a_lost_update(world: World) -> None:
    """Two people who read the same version: the second one is told to read again."""
    identifier = await world.create()
    path = f"/admin/v1/projects/{identifier}"
    headers = {**world.admin, "If-Match": '"v1"'}
    assert (await world.client.patch(path, json={"description": "a"}, headers=headers)).status_code == 200
    refused = await world.client.patch(path, json={"description": "b"}, headers=headers)
    assert (refused.status_code, refused.json()["success"]) == (412, False)
    assert (await world.get(f"/{identifier}")).json()["data"]["description"] == "a"
    anything = {**world.admin, "If-Match": "*"}
    assert (await world.client.patch(path, json={"description": "c"}, headers=anything)).status_code == 200


async def test_without_if_match_the_last_one_wins(world: World) -> None:
    """However many edit at once, nobody is refused who has not asked to be."""
    identifier = await world.create()
    path = f"/admin/v1/projects/{identifier}"
    anything = {**world.admin, "If-Match": "*"}
    answers = await asyncio.gather(
        *(world.client.patch(path, json={"description": "x"}, headers=each) for each in 6 * (world.admin, anything))
    )
    assert [each.status_code for each in answers] == [200] * 12
    assert (await world.get(f"/{identifier}")).headers["etag"] == '"v13"'


async def test_what_is_nested_too_deep_is_not_stored(world: World) -> None:
    """As at creation."""
    identifier = await world.create(metadata={"a": 1})
    deep: list[Any] = []
    for _ in range(200):
        deep = [deep]
    path = f"/admin/v1/projects/{identifier}"
    answer = await world.client.patch(path, json={"metadata": deep}, headers=world.admin)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["metadata"])
    assert (await world.get(f"/{identifier}")).json()["data"]["metadata"] == {"a": 1}


async def test_a_taken_name_is_a_422(world: World) -> None:
    """As at creation."""
    tenant = await world.tenant()
    await world.create(tenant, name="Taken")
    identifier = await world.create(tenant)
    path = f"/admin/v1/projects/{identifier}"
    answer = await world.client.patch(path, json={"name": "Taken"}, headers=world.admin)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["name"])


async def test_only_three_fields_can_be_edited(world: World) -> None:
    """A status, a tenant or a version in the body is refused."""
    identifier = await world.create()
    for field in ("status", "tenant_id", "version", "region"):
        answer = await world.client.patch(f"/admin/v1/projects/{identifier}", json={field: "x"}, headers=world.admin)
        assert (answer.status_code, list(answer.json()["errors"])) == (422, [field])
