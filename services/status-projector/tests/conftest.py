"""A migrated database of this package's own, entered with the projector's rights."""

from collections.abc import AsyncIterator

import pytest
from backbone.database import Database
from backbone.testing import service_database

ROLE, ADMIN, TENANT = "uca_status_projector", "uca_project_api", "uca_project_api_tenant"


@pytest.fixture(scope="session")
async def migrated(postgres_url: str) -> AsyncIterator[Database]:
    """One database for every test here."""
    async with service_database(postgres_url, "status_projector", role=ROLE, readers=(ADMIN, TENANT)) as opened:
        yield opened


@pytest.fixture
async def database(migrated: Database) -> Database:
    """The database, emptied."""
    async with migrated.transaction() as tx:
        for table in ("events", "project_status", "user_status", "estimates"):
            await tx.driver.execute(f"DELETE FROM {table}")
    return migrated
