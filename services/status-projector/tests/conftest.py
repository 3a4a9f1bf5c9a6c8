"""A migrated database of this package's own, entered with the projector's rights."""

from collections.abc import AsyncIterator

import pytest
from backbone.database import Database
from backbone.testing import service_database

ROLE, ADMIN, TENANT = "uca_status_projector", "uca_project_api", "uca_project_api_tenant"
PROJECT_API = (
    "CREATE SCHEMA project_api",
    "CREATE VIEW project_api.named AS"
    " SELECT unnest(string_to_array(current_setting('test.naming', true), ',')) AS identifier",
    f"GRANT USAGE ON SCHEMA project_api TO {TENANT}",
    f"GRANT SELECT ON project_api.named TO {TENANT}",
)
"""In the place of what project-api publishes: a test says itself which projects name its user."""


@pytest.fixture(scope="session")
async def migrated(postgres_url: str) -> AsyncIterator[Database]:
    """One database for every test here."""
    async with service_database(
        postgres_url, "status_projector", role=ROLE, readers=(ADMIN, TENANT), others=PROJECT_API
    ) as opened:
        yield opened


@pytest.fixture
async def database(migrated: Database) -> Database:
    """The database, emptied."""
    async with migrated.transaction() as tx:
        for table in ("events", "project_status", "user_status", "estimates"):
            await tx.driver.execute(f"DELETE FROM {table}")
    return migrated
