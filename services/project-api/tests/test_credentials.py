"""A user's credential, handed out once."""

from typing import Any

from clouds.vault import SealedFor
from project_api.testing import Tenant, World, known_to_syncer

SECRET = "a secret of the cloud"


async def give(world: World, syncer: Any, tenant: Tenant, key: str = "AK1") -> tuple[str, int]:
    """A project of the tenant in which its first member has a key."""
    identifier, user = await world.create(tenant), tenant.members[0]
    await known_to_syncer(syncer, identifier, tenant.id)
    await renew(world, syncer, identifier, SealedFor(tenant.id, user, key))
    return identifier, user


async def renew(world: World, syncer: Any, identifier: str, whose: SealedFor) -> None:
    await syncer.execute(
        "INSERT INTO member_records (identifier, user_id, email, role, key_id, sealed_secret, state, run)"
        " VALUES ($1, $2, 'u', 'member', $3, $4, 'synced', 1) ON CONFLICT (identifier, user_id)"
        " DO UPDATE SET key_id = excluded.key_id, sealed_secret = excluded.sealed_secret",
        identifier,
        whose.user_id,
        whose.key_id,
        world.parts.vault.seal(SECRET, whose),
    )


async def test_it_is_shown_once_and_on_record(world: World, syncer: Any) -> None:
    """The second reading is a 410, until there is a new credential; who read it is in the audit."""
    tenant = await world.tenant()
    identifier, user = await give(world, syncer, tenant)
    first = await world.get(f"/{identifier}/users/{user}/credential")
    assert first.status_code == 200
    assert (first.json()["data"]["access_key"], first.json()["data"]["secret_key"]) == ("AK1", SECRET)
    assert first.headers["cache-control"] == "no-store"
    assert (await world.get(f"/{identifier}/users/{user}/credential")).status_code == 410
    (entry,) = await world.rows(
        "SELECT user_id, action, detail::text FROM audit WHERE subject = $1", f"project {identifier}"
    )
    assert (entry.user_id, entry.action) == (world.admin_id, "credential.read")
    assert SECRET not in entry.detail
    await renew(world, syncer, identifier, SealedFor(tenant.id, user, "AK2"))
    assert (await world.get(f"/{identifier}/users/{user}/credential")).json()["data"]["access_key"] == "AK2"


async def test_only_the_user_and_admins_may_see_it(world: World, syncer: Any) -> None:
    """Another member is a 403, another tenant a 404; who has none is a 404."""
    tenant, other = await world.tenant(), await world.tenant()
    identifier, user = await give(world, syncer, tenant)
    path = f"/api/v1/business/projects/{identifier}/users/{user}/credential"
    assert (await world.client.get(path, headers=world.member(tenant, 1))).status_code == 403
    assert (await world.client.get(path, headers=world.tenant_admin(other))).status_code == 404
    assert (await world.get(f"/{identifier}/users/{tenant.members[1]}/credential")).status_code == 404
    assert (await world.client.get(path, headers=world.member(tenant))).status_code == 200


async def test_in_a_project_without_a_tenant_each_sees_their_own(world: World, syncer: Any) -> None:
    """A tenant's admin too: there they are no administrator. Whom it does not name, it is a 404 to."""
    tenant = await world.tenant()
    people = {tenant.members[0]: world.member(tenant), tenant.tenant_admin: world.tenant_admin(tenant)}
    identifier = await world.create(user_ids=list(people))
    await known_to_syncer(syncer, identifier, None)
    for user in people:
        await renew(world, syncer, identifier, SealedFor(None, user, f"AK{user}"))
    path = f"/api/v1/business/projects/{identifier}/users"
    for user, headers in people.items():
        for other in people.keys() - {user}:
            assert (await world.client.get(f"{path}/{other}/credential", headers=headers)).status_code == 403
        assert (await world.client.get(f"{path}/{user}/credential", headers=world.member(tenant, 1))).status_code == 404
    for user, headers in people.items():
        answer = await world.client.get(f"{path}/{user}/credential", headers=headers)
        assert (answer.status_code, answer.json()["data"]["secret_key"]) == (200, SECRET)
