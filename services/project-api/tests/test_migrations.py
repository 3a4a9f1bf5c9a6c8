"""What a newer version does with what an older one has stored."""

import asyncio
from collections.abc import AsyncIterator

import asyncpg
import pytest
from backbone import migrations
from backbone.testing import fresh_database


@pytest.fixture
async def older(postgres_url: str, urls: object) -> AsyncIterator[str]:
    """A database as version 0005 left it; the roles are those of the session's database."""
    del urls
    async with fresh_database(postgres_url) as url:
        owner = await asyncpg.connect(url)
        await owner.execute("CREATE SCHEMA project_api")
        await owner.close()
        await asyncio.to_thread(migrations.upgrade, "project_api", url, "0005")
        yield url


async def test_an_event_that_never_leaves_is_let_go(older: str) -> None:
    """It closed the channel for every other; those go on waiting for their turn."""
    owner = await asyncpg.connect(older, server_settings={"search_path": "project_api"})
    await owner.execute(
        "INSERT INTO outbox (id, exchange, routing_key, content_type, body)"
        " SELECT gen_random_uuid(), 'events', 'x', 'x', CAST(repeat('x', size) AS bytea)"
        " FROM unnest(ARRAY[10, 4194304, 4194305]) AS size"
    )
    await asyncio.to_thread(migrations.upgrade, "project_api", older)
    left = await owner.fetch("SELECT octet_length(body) AS size FROM outbox ORDER BY 1")
    await owner.close()
    assert [row["size"] for row in left] == [10, 4194304]


async def test_stored_emails_are_put_in_lower_case(older: str) -> None:
    """As new ones are; an e-mail that somebody else has so already stays as it is."""
    owner = await asyncpg.connect(older, server_settings={"search_path": "project_api"})
    stored = ["Ada@uca.test", "ΣΑΣ@uca.test", "Σας@uca.test", "äö@uca.test", "ÄÖÜ@uca.test"]
    await owner.execute(
        "INSERT INTO users (id, name, email, role) SELECT n, 'x', email, 'member'"
        " FROM unnest(CAST($1 AS text[])) WITH ORDINALITY AS given (email, n)",
        stored,
    )
    await asyncio.to_thread(migrations.upgrade, "project_api", older)
    found = [row["email"] for row in await owner.fetch("SELECT email FROM users ORDER BY id")]
    await owner.close()
    assert found == ["Ada@uca.test", "ΣΑΣ@uca.test", "σας@uca.test", "äö@uca.test", "äöü@uca.test"]
