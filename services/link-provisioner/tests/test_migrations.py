import pytest
from asyncpg.exceptions import InsufficientPrivilegeError
from backbone.database import Database


@pytest.mark.parametrize(
    ("role", "relation", "columns"),
    [
        ("uca_project_api", "parked", "*"),
        ("uca_link_provisioner", "links", "*"),
    ],
)
async def test_what_is_published_can_be_read(database: Database, role: str, relation: str, columns: str) -> None:
    """project-api shows the dead letters."""
    async with database.transaction() as tx:
        await tx.execute(f"SET LOCAL ROLE {role}")
        await tx.execute(f"SELECT {columns} FROM link_provisioner.{relation}")


@pytest.mark.parametrize(
    ("role", "statement"),
    [
        ("uca_project_api", "SELECT identifier FROM link_provisioner.links"),
        ("uca_project_api", "DELETE FROM link_provisioner.links"),
        ("uca_project_api", "SELECT * FROM link_provisioner.outbox"),
        ("uca_project_api_tenant", "SELECT identifier FROM link_provisioner.links"),
        ("uca_link_provisioner", "DROP TABLE link_provisioner.links"),
        ("uca_link_provisioner", "ALTER TABLE link_provisioner.links ADD COLUMN more int"),
    ],
)
async def test_everything_else_is_refused(database: Database, role: str, statement: str) -> None:
    """The rest of the schema is this service's own, and its structure not even that."""
    async with database.reading(together=True) as connection:
        await connection.execute(f"SET LOCAL ROLE {role}")
        with pytest.raises(InsufficientPrivilegeError, match=r"permission denied|must be owner"):
            await connection.execute(statement)
