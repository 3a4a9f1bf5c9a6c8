"""What a change of a user starts."""

from contracts.status import Kind, Status
from project_api.testing import World


async def test_a_removed_user_leaves_their_projects(world: World) -> None:
    """A run starts in each, which takes their access away; one that was going on is superseded."""
    tenant = await world.tenant()
    projects = [await world.create(tenant), await world.create(tenant)]
    await world.finish(projects[0])
    user = tenant.members[0]
    answer = await world.client.delete(f"/admin/v1/users/{user}", headers=world.admin)
    assert answer.status_code == 200, answer.text
    for identifier in projects:
        event = (await world.outbox(identifier))[-1]
        assert (event["type"], event["run"], event["data"]["reason"]) == ("ProvisioningRequested", 2, "members")
        assert [each["user_id"] for each in event["data"]["removed"]] == [user]
        assert user not in {each["user_id"] for each in event["data"]["participants"]}
        users = (await world.get(f"/{identifier}")).json()["data"]["users"]
        assert user not in {each["id"] for each in users}


async def test_a_changed_email_is_followed(world: World) -> None:
    """The new address is what the run is for; a new name alone starts nothing, and is shown."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    user = tenant.members[0]
    path = f"/admin/v1/users/{user}"
    await world.client.patch(path, json={"name": "Renamed"}, headers=world.admin)
    assert len(await world.outbox(identifier)) == 1
    users = (await world.get(f"/{identifier}")).json()["data"]["users"]
    assert "Renamed" in {each["name"] for each in users}
    await world.client.patch(path, json={"email": f"moved{user}@uca.test"}, headers=world.admin)
    event = (await world.outbox(identifier))[-1]
    assert event["run"] == 2
    assert f"moved{user}@uca.test" in {each["email"] for each in event["data"]["participants"]}


async def test_a_suspended_project_stays_so(world: World) -> None:
    """Nobody has access there: the participants change, and no run gives it back."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    await world.client.delete(f"/admin/v1/users/{tenant.members[0]}", headers=world.admin)
    assert (await world.status(identifier))["status"] == "suspended"
    await world.post(f"/{identifier}/resume")
    event = (await world.outbox(identifier))[-1]
    assert tenant.members[0] not in {each["user_id"] for each in event["data"]["participants"]}


async def test_a_new_user_joins_when_asked_to(world: World) -> None:
    """Into every project of their tenant that they are not in yet, once."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    new = {"name": "New", "email": f"joins{tenant.id}@uca.test", "role": "member", "tenant_id": tenant.id}
    user = (await world.client.post("/admin/v1/users", json=new, headers=world.admin)).json()["data"]["id"]
    assert len(await world.outbox(identifier)) == 1
    path = f"/admin/v1/users/{user}/sync-projects"
    assert (await world.client.post(path, headers=world.admin)).json()["runs"] == [identifier]
    event = (await world.outbox(identifier))[-1]
    assert user in {each["user_id"] for each in event["data"]["participants"]}
    assert (await world.client.post(path, headers=world.admin)).json()["runs"] == []
