"""How large a run may be."""

from project_api.testing import World


async def test_too_many_participants_are_a_422(world: World) -> None:
    """No message would hold them, so nobody would ever hear of the project."""
    tenant = await world.tenant()
    await world.rows("UPDATE users SET name = repeat('x', 4100000) WHERE id = $1", tenant.members[0])
    answer = await world.post("", json={"name": "Large", "region": "region-1", "tenant_id": tenant.id})
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["participants"])
    assert "too many participants" in answer.json()["message"]
    assert not await world.rows("SELECT FROM projects WHERE tenant_id = $1", tenant.id)
    await world.client.delete(f"/admin/v1/users/{tenant.members[0]}", headers=world.admin)
    assert len((await world.get(f"/{await world.create(tenant)}")).json()["data"]["users"]) > 1


async def test_too_many_participants_are_refused_and_can_be_removed(world: World) -> None:
    """New participants leave room for later runs; a run that no message holds is a 422, and changes nothing."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    longer = "UPDATE {} SET name = repeat('x', $2) WHERE {} = $1"
    for table, column in (("users", "id"), ("participants", "user_id")):
        await world.rows(longer.format(table, column), tenant.members[0], 4_000_000)
    await world.rows("UPDATE directory_versions SET version = version + 1 WHERE name = $1", f"tenant_users_{tenant.id}")
    answer = await world.post(f"/{identifier}/provision")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["participants"])
    assert (await world.post(f"/{identifier}/suspend")).status_code == 202
    await world.rows(longer.format("participants", "user_id"), tenant.members[0], 5_000_000)
    assert (await world.post(f"/{identifier}/cancel")).status_code == 422
    assert (await world.status(identifier))["run"] == 2


async def test_too_many_participants_of_before_are_no_longer_too_many(world: World) -> None:
    """Whether there are too many is judged by the directory as it is, not as it was cached."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    for length, status in ((4_000_000, 422), (5, 202)):
        await world.rows("UPDATE users SET name = repeat('x', $2) WHERE id = $1", tenant.members[0], length)
        name = f"tenant_users_{tenant.id}"
        await world.rows("UPDATE directory_versions SET version = version + 1 WHERE name = $1", name)
        assert (await world.post(f"/{identifier}/provision")).status_code == status
