"""What of this service's schema others may read."""

import pytest
from asyncpg.exceptions import CheckViolationError, InsufficientPrivilegeError
from backbone.database import Database


async def read(database: Database, relation: str) -> None:
    """As project-api's first role."""
    async with database.reading(together=True) as connection:
        await connection.execute("SET LOCAL ROLE uca_project_api")
        await connection.execute(f"SELECT * FROM user_syncer.{relation}")


@pytest.mark.parametrize("relation", ["members", "parked"])
async def test_project_api_reads_what_is_published(database: Database, relation: str) -> None:
    """The members with their sealed secrets, and the dead letters."""
    await read(database, relation)


@pytest.mark.parametrize("relation", ["member_records", "runs", "chunks", "outbox"])
async def test_project_api_reads_nothing_else(database: Database, relation: str) -> None:
    """The tables stay this service's own."""
    with pytest.raises(InsufficientPrivilegeError, match="permission denied"):
        await read(database, relation)


async def test_a_key_is_never_without_its_secret(database: Database) -> None:
    """The database itself refuses a key whose sealed secret is missing."""
    async with database.reading(together=True) as connection:
        with pytest.raises(CheckViolationError, match="violates check constraint"):
            await connection.execute(
                "INSERT INTO member_records (identifier, user_id, email, key_id, state, run)"
                " VALUES ('P', 1, 'a@b', 'k', 'synced', 1)"
            )
