"""A service must know its own revision as Alembic does."""

import asyncio
from pathlib import Path

import asyncpg
import pytest
from backbone import migrations, revisions
from backbone.testing import fresh_database
from structlog.testing import capture_logs


@pytest.mark.parametrize("package", ["backbone", "contracts"])
def test_a_package_without_migrations_has_no_revision(package: str) -> None:
    """Such a service is ready whatever the schema says."""
    assert revisions.head(package) is None


def test_the_newest_file_is_the_newest_revision(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same answer as Alembic gives from the files' contents."""
    versions = tmp_path / "some_service" / "migrations" / "versions"
    versions.mkdir(parents=True)
    (tmp_path / "some_service" / "__init__.py").touch()
    (versions / "0001_first.py").write_text('revision = "0001"\ndown_revision = None\n')
    (versions / "0002_second.py").write_text('revision = "0002"\ndown_revision = "0001"\n')
    monkeypatch.syspath_prepend(tmp_path)
    assert revisions.head("some_service") == migrations.head("some_service") == "0002"


async def test_a_newer_schema_is_left_as_it_is(
    postgres_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The migrator of the images before goes on, and says so: a schema is not taken back."""
    package = tmp_path / "older_service"
    (package / "migrations" / "versions").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "migrations" / "env.py").write_text("from backbone.migrations import run_env\n\nrun_env()\n")
    (package / "migrations" / "versions" / "0001_first.py").write_text(
        'revision = "0001"\ndown_revision = None\n\n\ndef upgrade():\n    pass\n'
    )
    monkeypatch.syspath_prepend(tmp_path)
    async with fresh_database(postgres_url) as url:
        owner = await asyncpg.connect(url)
        await owner.execute("CREATE SCHEMA older_service")
        await asyncio.to_thread(migrations.upgrade, "older_service", url)
        await owner.execute("UPDATE older_service.alembic_version SET version_num = '0005'")
        with capture_logs() as lines:
            await asyncio.to_thread(migrations.upgrade, "older_service", url)
        assert await owner.fetchval("SELECT version_num FROM older_service.alembic_version") == "0005"
        await owner.close()
    assert [(line["event"], line["revision"], line["known"]) for line in lines] == [("schema.newer", "0005", "0001")]
