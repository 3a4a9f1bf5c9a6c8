"""For tests on the real database: one of their own, migrated, and entered with a service's rights and no more."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from urllib.parse import urlsplit

import asyncpg

from backbone import migrations
from backbone.database import Database


@asynccontextmanager
async def fresh_database(owner_url: str) -> AsyncIterator[str]:
    """The owner's URL of an empty database, which is dropped at the end."""
    name = f"test_{secrets.token_hex(6)}"
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(f"CREATE DATABASE {name}")
        yield urlsplit(owner_url)._replace(path=f"/{name}").geturl()
    finally:
        await owner.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await owner.close()


@asynccontextmanager
async def service_database(
    owner_url: str, package: str, *, role: str, readers: Sequence[str] = ()
) -> AsyncIterator[Database]:
    """A fresh database with the package's schema at its newest revision, opened as ``role``.

    ``readers`` are the roles that the migrations publish to. Passwords are left alone: roles are the whole server's,
    and a stack beside these tests may use them.
    """
    async with fresh_database(owner_url) as url:
        owner = await asyncpg.connect(url)
        try:
            for each in (role, *readers):
                # Somebody else's tests may make the same role at this moment.
                with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                    await owner.execute(f"CREATE ROLE {each} LOGIN")
                await owner.execute(f"GRANT {each} TO CURRENT_USER")
            await owner.execute(f"CREATE SCHEMA {package}; GRANT USAGE ON SCHEMA {package} TO {role}")
            for kind, rights in (("TABLES", "SELECT, INSERT, UPDATE, DELETE"), ("SEQUENCES", "USAGE, SELECT")):
                await owner.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {package} GRANT {rights} ON {kind} TO {role}")
            await asyncio.to_thread(migrations.upgrade, package, url)
            # From here on the owner's own connections to this database begin with the service's rights.
            database = await owner.fetchval("SELECT current_database()")
            await owner.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET role = '{role}'")
        finally:
            await owner.close()
        opened = Database(url, schema=package, source=package.replace("_", "-"))
        try:
            yield opened
        finally:
            await opened.close()
