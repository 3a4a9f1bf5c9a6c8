from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import asyncpg
import pytest
from migrator import database
from migrator.plan import Service

SERVICES = [Service("first-example"), Service("second-example")]
PASSWORDS = {"FIRST_EXAMPLE_DATABASE_PASSWORD": "first", "SECOND_EXAMPLE_DATABASE_PASSWORD": "second"}


@pytest.fixture(scope="module")
async def url(postgres_url: str) -> AsyncIterator[str]:
    """The owner's URL of a database of this module's own, prepared twice, with a table made by each migration."""
    owner = await asyncpg.connect(postgres_url)
    await owner.execute("CREATE DATABASE migrator_test")
    own = urlsplit(postgres_url)._replace(path="/migrator_test").geturl()
    for _ in range(2):
        await database.prepare(own, SERVICES, PASSWORDS)
    connection = await asyncpg.connect(own)
    for service in SERVICES:
        await connection.execute(f"CREATE TABLE {service.schema}.things (id int)")
    await connection.close()
    yield own
    await owner.execute("DROP DATABASE migrator_test WITH (FORCE)")
    for service in SERVICES:
        await owner.execute(f"DROP ROLE {service.role}")
    await owner.close()


@pytest.fixture
async def service(url: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """A connection as the first service, with its password."""
    connection = await asyncpg.connect(url, user="uca_first_example", password="first")
    yield connection
    await connection.close()


async def test_a_service_reads_and_writes_its_own_schema(service: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Tables that a migration makes are the service's to read and write."""
    await service.execute("INSERT INTO first_example.things VALUES (1)")
    assert await service.fetchval("DELETE FROM first_example.things RETURNING id") == 1


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT * FROM second_example.things",
        "CREATE TABLE first_example.more (id int)",
        "DROP TABLE first_example.things",
        "TRUNCATE first_example.things",
        "CREATE TABLE public.more (id int)",
        "CREATE SCHEMA more",
        "CREATE TEMP TABLE more (id int)",
    ],
)
async def test_a_service_may_nothing_else(service: "asyncpg.Connection[asyncpg.Record]", statement: str) -> None:
    """Another's schema and every change of structure are refused."""
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await service.execute(statement)


async def test_roles_of_another_database_are_refused(url: str, postgres_url: str) -> None:
    """By name, and their passwords stay: a role belongs to the server, and another stack may enter with it."""
    owner = await asyncpg.connect(postgres_url)
    await owner.execute("CREATE DATABASE migrator_test_second")
    try:
        second = urlsplit(postgres_url)._replace(path="/migrator_test_second").geturl()
        with pytest.raises(database.RoleTaken, match="uca_first_example may enter the database migrator_test "):
            await database.prepare(second, SERVICES, dict.fromkeys(PASSWORDS, "changed"))
    finally:
        await owner.execute("DROP DATABASE migrator_test_second WITH (FORCE)")
        await owner.close()
    await (await asyncpg.connect(url, user="uca_first_example", password="first")).close()
