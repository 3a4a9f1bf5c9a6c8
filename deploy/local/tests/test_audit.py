import pytest
from local.audit import report

SOUND = {"name": "a", "version": "1", "vulns": []}
WEAK = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1"}]}
UNREAD = {"name": "c", "skip_reason": "not found"}


def test_a_vulnerable_package_fails_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """One known vulnerability is enough to fail, and its package, version and advisory are said."""
    assert report([SOUND, WEAK]) == 1
    assert "b 2: PYSEC-1" in capsys.readouterr().out


def test_what_could_not_be_checked_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A package without an answer doesn't fail, nor does it pass in silence."""
    assert report([SOUND, UNREAD]) == 0
    assert "1 packages, 1 not checked" in capsys.readouterr().out
