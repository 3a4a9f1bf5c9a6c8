"""What a service says of the database that it finds."""

from urllib.parse import urlsplit

import pytest
from backbone import runtime
from backbone.settings import Settings
from backbone.testing import fresh_database
from structlog.testing import capture_logs


@pytest.mark.parametrize(
    ("user", "event", "words"),
    [
        (None, "service.schema_missing", "run the migrator first"),
        ("nobody-of-ours", "database.refused", "nobody-of-ours"),
    ],
)
async def test_what_a_database_refuses_is_told_from_a_schema_that_is_missing(
    postgres_url: str, user: str | None, event: str, words: str
) -> None:
    """The one is mended in a setting, the other by the migrator; the server's words say which role or database."""
    async with fresh_database(postgres_url) as owner_url:
        parts = urlsplit(owner_url)
        own = f"{user}:canary@{parts.netloc.rpartition('@')[2]}" if user else parts.netloc
        given = {"database_url": parts._replace(netloc=own).geturl(), "amqp_url": "amqp://x"}
        service = runtime.build("backbone", Settings.model_validate(given))
        with capture_logs() as logs:
            await runtime.Readiness(service).look()
        await service.database.close()
    (entry,) = logs
    assert entry["event"] == event
    assert words in str(entry)
    assert "canary" not in str(entry)
    assert service.health.missing() == ["database", "migrations"]
