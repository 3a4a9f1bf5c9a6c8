"""What the service is made of, and which of the database's two roles serves a caller."""

import pytest
from backbone.runtime import build
from project_api.auth.tokens import Principal, Role
from project_api.parts import Caller, assemble
from project_api.settings import Settings
from project_api.testing import World


@pytest.mark.parametrize(
    ("role", "of_tenant", "confined"),
    [("admin", False, False), ("tenant_admin", True, True), ("member", True, True), ("member", False, False)],
)
async def test_the_database_holds_a_tenants_people_alone(
    world: World, role: Role, of_tenant: bool, confined: bool
) -> None:
    """Reading and changing alike; who has no tenant is in projects of any."""
    own, other = await world.tenant(), await world.tenant()
    for tenant in (own, other):
        await world.create(tenant)
    caller = Caller(Principal(own.members[0], role, own.id if of_tenant else None, ""), world.parts)
    for opened in (caller.reading, caller.transaction):
        async with opened() as connection:
            rows = await connection.execute("SELECT DISTINCT tenant_id FROM projects")
            seen = {row.tenant_id for row in rows.all()}
        assert ({own.id, other.id} & seen) == ({own.id} if confined else {own.id, other.id})


async def test_without_token_keys_it_is_not_ready(settings: Settings, world: World) -> None:
    """An identity provider's keys are a condition until they were fetched; who has a secret needs none."""
    for changed, waited_for in (({"jwt_secret": None, "jwks_url": "https://idp.uca.test/keys"}, True), ({}, False)):
        runtime = build("project-api", settings.model_copy(update=changed))
        async with runtime.stack:
            assemble(runtime, settings.model_copy(update=changed), {}, world.parts.vault)
            assert ("token keys" in runtime.health.missing()) is waited_for
