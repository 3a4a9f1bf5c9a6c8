from datetime import date

import pytest
from local.audit import ACCEPTED, Accepted, read_accepted, report

TODAY = date(2026, 6, 1)
SOUND = {"name": "a", "version": "1", "vulns": []}
WEAK = {"name": "b", "version": "2", "vulns": [{"id": "PYSEC-1", "aliases": ["CVE-1"]}]}
UNREAD = {"name": "c", "skip_reason": "not found"}


def test_a_vulnerable_package_fails_and_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """One known vulnerability is enough to fail, and its package, version and advisory are said."""
    assert report([SOUND, WEAK], [], TODAY) == 1
    assert "b 2: CVE-1, PYSEC-1" in capsys.readouterr().out


def test_what_could_not_be_checked_is_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """A package without an answer doesn't fail, nor does it pass in silence."""
    assert report([SOUND, UNREAD], [], TODAY) == 0
    assert "1 packages, 1 not checked" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["PYSEC-1", "CVE-1"])
def test_an_accepted_advisory_passes_until_its_day(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """By any of its names; from the next day on it fails again."""
    assert report([WEAK], [Accepted(name, "not called here", TODAY)], TODAY) == 0
    assert "0 in 1 packages, 1 accepted" in capsys.readouterr().out
    assert report([WEAK], [Accepted(name, "not called here", date(2026, 5, 31))], TODAY) == 1


def test_what_is_accepted_and_gone_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    """So that the list doesn't grow."""
    assert report([SOUND], [Accepted("PYSEC-1", "not called here", TODAY)], TODAY) == 0
    assert "PYSEC-1: accepted, and found no more" in capsys.readouterr().out


def test_an_entry_has_a_reason_and_a_day() -> None:
    """One without is refused; the file itself can be read."""
    entry = '[[advisory]]\nid = "PYSEC-1"\nreason = "not called here"\n'
    assert read_accepted(f"{entry}until = 2026-06-01") == [Accepted("PYSEC-1", "not called here", TODAY)]
    with pytest.raises(TypeError):
        read_accepted(entry)
    assert isinstance(read_accepted(ACCEPTED.read_text()), list)
