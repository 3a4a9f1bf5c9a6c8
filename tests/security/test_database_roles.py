"""What the database refuses each service's own role, and that no tenant's table is without row-level security."""

from collections.abc import AsyncIterator
from typing import TypeAlias

import asyncpg
import pytest
from local.services import API, SERVICES

from tests.security.ground import Ground

TENANT = "uca_project_api_tenant"
ROLES = [role for service in SERVICES for role in service.roles]
SCHEMAS = [service.schema for service in SERVICES]
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

PUBLISHED = {
    "uca_project_api": {
        *(f"{service.schema}.parked" for service in SERVICES if service.name != API),
        "link_provisioner.region_health",
        "status_projector.estimates",
        "status_projector.events",
        "status_projector.project_status",
        "status_projector.timeline",
        "status_projector.user_status",
        "user_syncer.members",
        "user_syncer.region_health",
    },
    "uca_link_provisioner": {"project_api.maintenance"},
    "uca_user_syncer": {"project_api.maintenance"},
    TENANT: {
        "status_projector.estimates",
        "status_projector.events",
        "status_projector.project_status",
        "status_projector.timeline",
        "status_projector.user_status",
    },
}
"""All that a role may read of other schemas."""

WITHOUT_ROWS_OF_TENANTS = {
    "project_api.directory_versions": "numbers that say whether a cache is old",
    "project_api.named": "a view: which projects without a tenant name the user who is set, for the policies to ask",
    "status_projector.estimates": "how long runs take by region and size",
}
"""What the tenant's role may read whole, and why no row of it belongs to a tenant."""

FOREIGN = """
    SELECT n.nspname || '.' || c.relname AS name FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($2) AND n.nspname <> $3 AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
      AND (has_table_privilege($1, c.oid, $4) OR has_any_column_privilege($1, c.oid, $5))
"""
READABLE = """
    SELECT n.nspname || '.' || c.relname AS name, c.relkind = 'v' AS view,
           c.relrowsecurity AND c.relforcerowsecurity AS forced,
           'security_invoker=true' = ANY(coalesce(c.reloptions, '{}')) AS invoker,
           EXISTS (SELECT FROM pg_policy AS p WHERE p.polrelid = c.oid AND p.polpermissive
                   AND (p.polroles = '{0}' OR $1::regrole::oid = ANY(p.polroles))
                   AND pg_get_expr(p.polqual, c.oid) = 'true') AS open
    FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = ANY($2) AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
      AND has_any_column_privilege($1, c.oid, 'SELECT, UPDATE')
"""
POWERS = "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls FROM pg_roles WHERE rolname = $1"


@pytest.fixture(params=ROLES)
def role(request: pytest.FixtureRequest) -> str:
    """Each role of each service in turn."""
    name: str = request.param
    return name


@pytest.fixture
async def connection(ground: Ground, role: str) -> AsyncIterator[Connection]:
    """Logged in as that role, with its own password."""
    connection = await asyncpg.connect(ground.database_url(role))
    yield connection
    await connection.close()


@pytest.fixture(scope="module")
async def catalogue(ground: Ground) -> AsyncIterator[Connection]:
    """The superuser's view."""
    connection = await ground.superuser()
    yield connection
    await connection.close()


def own_schema(role: str) -> str:
    """Where a role is at home."""
    return next(service.schema for service in SERVICES if role in service.roles)


async def test_a_role_reads_nothing_but_what_is_published(catalogue: Connection, role: str) -> None:
    """Of other schemas it may read the published views, and write none."""
    rights = ("SELECT", "SELECT"), ("INSERT, UPDATE, DELETE, TRUNCATE, TRIGGER", "INSERT, UPDATE")
    readable, writable = [
        {row["name"] for row in await catalogue.fetch(FOREIGN, role, SCHEMAS, own_schema(role), *each)}
        for each in rights
    ]
    assert readable == PUBLISHED.get(role, set())
    assert writable == set()


async def test_reading_across_schemas_is_denied(connection: Connection, role: str) -> None:
    """A SELECT on another service's tables ends in an error, not in rows."""
    for schema in SCHEMAS:
        for table in ("outbox", "inbox"):
            if schema != own_schema(role):
                with pytest.raises(asyncpg.InsufficientPrivilegeError):
                    await connection.execute(f"SELECT FROM {schema}.{table}")


@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE {schema}.more (id int)",
        "ALTER TABLE {schema}.outbox ADD COLUMN more int",
        "DROP TABLE {schema}.outbox",
        "TRUNCATE {schema}.outbox",
        "UPDATE {schema}.alembic_version SET version_num = version_num",
        "DELETE FROM {schema}.alembic_version",
        "CREATE INDEX ON {schema}.outbox (id)",
        "CREATE FUNCTION {schema}.more() RETURNS int LANGUAGE sql AS 'SELECT 1'",
        "CREATE TABLE public.more (id int)",
        "CREATE TEMP TABLE more (id int)",
        "CREATE SCHEMA more",
        "CREATE ROLE more",
        "SET ROLE uca_owner",
        "COPY (SELECT 1) TO PROGRAM 'true'",
        "SELECT pg_read_file('PG_VERSION')",
    ],
)
async def test_a_role_changes_no_structure(connection: Connection, role: str, statement: str) -> None:
    """Neither its own schema's nor the server's."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await connection.execute(statement.format(schema=own_schema(role)))


async def test_a_role_has_no_powers(catalogue: Connection, role: str) -> None:
    """It is no superuser, makes no roles or databases, and does not pass row-level security by."""
    assert not any(await catalogue.fetchrow(POWERS, role))


async def test_every_table_of_tenants_is_under_row_level_security(catalogue: Connection) -> None:
    """Whatever the tenant's role may read is forced under it, by no policy that is open to all; a view asks as its
    reader. A new table without that fails here, unless it is named above with the reason."""
    found = {row["name"]: row for row in await catalogue.fetch(READABLE, TENANT, SCHEMAS)}
    assert found.keys() >= {"project_api.projects", "status_projector.events", "status_projector.timeline"}
    lacking = {name for name, row in found.items() if not (row["invoker"] if row["view"] else row["forced"])}
    assert lacking == set(WITHOUT_ROWS_OF_TENANTS)
    assert {name for name, row in found.items() if row["open"]} == set()


async def test_without_a_tenant_there_are_no_rows(ground: Ground, catalogue: Connection) -> None:
    """The tenant's role sees no project, participant or user before a tenant is set, although there are some."""
    async with ground.client() as api:
        body = {"name": "Behind a tenant's back", "region": "region-1", "tenant_id": 1}
        (await api.post("/admin/v1/projects", json=body)).raise_for_status()
    connection = await asyncpg.connect(ground.database_url(TENANT))
    try:
        for table in ("projects", "participants", "users"):
            count = f"SELECT count(*) FROM project_api.{table}"
            assert await catalogue.fetchval(count) > 0
            assert await connection.fetchval(count) == 0
    finally:
        await connection.close()
