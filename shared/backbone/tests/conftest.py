"""A made-up service on the real database and the real broker."""

from collections.abc import AsyncIterator

import pytest
from backbone.testing import Rig, service_rig


@pytest.fixture(scope="session")
async def rig(postgres_url: str, rabbitmq_url: str, rabbitmq_api_url: str) -> AsyncIterator[Rig]:
    """One for the suite; tests tell their events apart by identifier."""
    async with service_rig(postgres_url, rabbitmq_url, rabbitmq_api_url) as built:
        yield built
