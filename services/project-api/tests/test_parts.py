"""Which of the database's two roles serves a caller."""

import pytest
from project_api.parts import Caller
from project_api.testing import World
from project_api.tokens import Principal, Role


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
