import os
import sys
from pathlib import Path

import pytest
from local import __main__ as command
from local.stack import Stack

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
