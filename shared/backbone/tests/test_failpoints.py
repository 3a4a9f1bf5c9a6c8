"""Places where a test may kill or block a process."""

from pathlib import Path

import pytest
from backbone import failpoints
from backbone.failpoints import Action, arm, failpoint


@pytest.fixture(autouse=True)
def _disarmed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(failpoints, "_armed", {})
    monkeypatch.setattr(failpoints, "_files", [])


def test_a_specification_names_place_action_chance_and_times() -> None:
    """What is left out: always, without end, and 40 s of a block."""
    arm("after_commit=kill,before_ack=stop:0.5,before_mark=block8:0.25x20")
    assert failpoints._armed == {
        "after_commit": Action("kill", 40, 1, 0),
        "before_ack": Action("stop", 40, 0.5, 0),
        "before_mark": Action("block", 8, 0.25, 20),
    }


@pytest.mark.parametrize("words", ["after_commit", "after_commit=kil", "after_commit=kill:x", "a=kill x2"])
def test_a_mistyped_fault_is_refused(words: str) -> None:
    """It must not pass for one that was survived."""
    with pytest.raises(ValueError, match="the action must be"):
        arm(words)


def test_hits_are_on_record_and_counted_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a process which was started again knows how often it has died."""
    record = tmp_path / "hits"
    monkeypatch.setenv("FAILPOINTS_RECORD", str(record))
    arm("here=block0:1x2")
    for _ in range(5):
        failpoint("here")
        failpoint("elsewhere")
    assert record.read_text() == "here\nhere\n"


def test_a_file_arms_a_process_that_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its presence and content count at each passing."""
    record, specification = tmp_path / "hits", tmp_path / "failpoints"
    monkeypatch.setenv("FAILPOINTS_RECORD", str(record))
    arm(f"@{specification}")
    failpoint("here")
    specification.write_text("here=block0")
    failpoint("here")
    specification.write_text("elsewhere=block0")
    failpoint("here")
    assert record.read_text() == "here\n"
