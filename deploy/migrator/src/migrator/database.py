"""Roles, schemas and what each role may do: a service reads and writes its own schema and can change no table."""

from collections.abc import Iterable, Mapping

import asyncpg

from migrator.plan import Service, database_password
from migrator.verifier import scram_verifier

LOCK = 8_217_001
"""Two migrators at once: the second waits for this advisory lock. Any number that nobody else takes."""

ELSEWHERE = (
    "SELECT datname FROM pg_database, aclexplode(datacl) AS given, pg_roles"
    " WHERE given.grantee = pg_roles.oid AND rolname = $1 AND datname <> current_database() LIMIT 1"
)


class RoleTaken(Exception):
    """A role is another stack's; the message names the role and that stack's database."""


async def prepare(url: str, services: Iterable[Service], passwords: Mapping[str, str]) -> None:
    """Makes or renews roles, schemas and grants, all in one transaction.

    Raises:
        asyncpg.PostgresError, OSError: the database refuses or cannot be reached.
        RoleTaken: another database of this server has one of the roles already.
    """
    connection = await asyncpg.connect(url, timeout=10)
    try:
        async with connection.transaction():
            await connection.execute(f"SELECT pg_advisory_xact_lock({LOCK})")
            database = await connection.fetchval("SELECT quote_ident(current_database())")
            await connection.execute(f"REVOKE ALL ON DATABASE {database} FROM PUBLIC")
            for service in services:
                for role in service.roles:
                    await _ensure_role(connection, role, passwords[database_password(role)])
                    await connection.execute(f"GRANT CONNECT ON DATABASE {database} TO {role}")
                await _ensure_schema(connection, service)
    finally:
        await connection.close()


async def _ensure_role(connection: "asyncpg.Connection[asyncpg.Record]", role: str, password: str) -> None:
    """Roles belong to the server: another stack's would get our password, and that stack could not enter any more."""
    if taken := await connection.fetchval(ELSEWHERE, role):
        raise RoleTaken(
            f"{role} may enter the database {taken} of this server: give each stack a server of its own, or,"
            f" if that one is no longer used, REVOKE CONNECT ON DATABASE {taken} FROM {role}"
        )
    if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", role):
        await connection.execute(f"CREATE ROLE {role} LOGIN")
    await connection.execute(f"ALTER ROLE {role} PASSWORD '{scram_verifier(password)}'")


async def _ensure_schema(connection: "asyncpg.Connection[asyncpg.Record]", service: Service) -> None:
    """Rights come as defaults for tables yet to be made, so a migration may take some back and keep it so."""
    schema = service.schema
    await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {schema}")
    await connection.execute(f"GRANT USAGE ON SCHEMA {schema} TO {', '.join(service.roles)}")
    for kind, rights in (("TABLES", "SELECT, INSERT, UPDATE, DELETE"), ("SEQUENCES", "USAGE, SELECT")):
        await connection.execute(
            f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT {rights} ON {kind} TO {service.role}"
        )
