"""A service must know its own revision as Alembic does."""

from pathlib import Path

import pytest
from backbone import migrations, revisions


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
