"""Who sees which rows of the read model."""

from collections.abc import Sequence

import pytest
from backbone.database import Database

ROWS = (
    "INSERT INTO project_status (identifier, tenant_id) VALUES ('A1', 1), ('B2', 2), ('C3', NULL), ('D4', NULL)",
    "INSERT INTO user_status (identifier, user_id, run, status, updated_at, event_id)"
    " SELECT identifier, 7, 1, 'synced', now(), gen_random_uuid() FROM project_status",
    "INSERT INTO events (event_id, identifier, run, type, time, data)"
    " SELECT gen_random_uuid(), identifier, 1, 'LinkEnsured', now(), '{}' FROM project_status",
)


async def seen(database: Database, role: str, tenant: str, relation: str, naming: Sequence[str] = ()) -> list[str]:
    """The identifiers that a role sees of every project's rows; owner and projector get none of the role's rights.

    ``naming`` are the projects without a tenant that name its user, as project-api publishes them.
    """
    async with database.reading(together=True) as connection:
        for statement in ROWS:
            await connection.execute(statement)
        await connection.execute("SELECT set_config('test.naming', :naming, true)", {"naming": ",".join(naming)})
        await connection.execute(f"SET LOCAL ROLE {role}")
        await connection.execute("SELECT set_config('uca.tenant', :tenant, true)", {"tenant": tenant})
        found = await connection.execute(f"SELECT identifier FROM status_projector.{relation} ORDER BY 1")
        return list(found.scalars())


@pytest.mark.parametrize("relation", ["project_status", "user_status", "events", "timeline"])
async def test_a_tenant_sees_its_own_rows_alone(database: Database, relation: str) -> None:
    """Row-level security hides other tenants' projects and those without a tenant, in the view too."""
    assert await seen(database, "uca_project_api_tenant", "1", relation) == ["A1"]
    assert await seen(database, "uca_project_api_tenant", "", relation) == []


@pytest.mark.parametrize("relation", ["project_status", "user_status", "events", "timeline"])
async def test_whom_a_project_without_a_tenant_names_sees_its_rows(database: Database, relation: str) -> None:
    """Which those are project-api says; a project of another tenant is not shown though it should say that too."""
    assert await seen(database, "uca_project_api_tenant", "1", relation, naming=["B2", "C3"]) == ["A1", "C3"]


@pytest.mark.parametrize("relation", ["project_status", "user_status", "events", "timeline"])
async def test_an_admin_sees_every_row(database: Database, relation: str) -> None:
    """project-api's first role is for admins, its relay and its sweeper."""
    assert await seen(database, "uca_project_api", "", relation) == ["A1", "B2", "C3", "D4"]
