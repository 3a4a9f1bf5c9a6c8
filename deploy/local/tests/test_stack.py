import os
import sys
from pathlib import Path

import pytest
from local import __main__ as command
from local.endpoints import MissingSettingError
from local.stack import Stack
from local.supervisor import Program

HALF = '{"amqp": 2'


def test_data_can_be_dropped_whatever_is_left_of_the_files(tmp_path: Path) -> None:
    """The way out of half-written files needs none of them."""
    for name in ("ports.json", "credentials.json"):
        (tmp_path / name).write_text(HALF)
    Stack(tmp_path, {}).down(wipe=True)
    assert not (tmp_path / "credentials.json").exists()


def test_half_a_file_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which file, and what to do; no traceback."""
    (tmp_path / "credentials.json").write_text(HALF)
    monkeypatch.setitem(os.environ, "UCA_RUN_DIR", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["local", "infrastructure"])
    assert command.main() == 1
    assert str(tmp_path / "credentials.json") in capsys.readouterr().err


def test_a_run_directory_that_cannot_be_written_is_told_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one of another account: which file, without a traceback."""
    (tmp_path / "run").touch()
    monkeypatch.setitem(os.environ, "UCA_RUN_DIR", str(tmp_path / "run"))
    monkeypatch.setattr(sys, "argv", ["local", "up"])
    assert command.main() == 1
    assert str(tmp_path / "run") in capsys.readouterr().err


def test_what_a_running_stack_was_given_is_asked_for_again(tmp_path: Path) -> None:
    """One on somebody's own database has none to start: the error names the settings that are not there any more."""
    stack = Stack(tmp_path, {})
    stack.supervisor.configure([Program("project-api", ["sleep", "1000"])])
    try:
        with pytest.raises(MissingSettingError, match="no private database or broker: set"):
            stack.migrate()
    finally:
        stack.supervisor.shut_down()
