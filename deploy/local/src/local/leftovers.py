"""Finds and ends processes of a stack that its supervisor no longer knows."""

import os
import signal
import time
from pathlib import Path

from local.supervisor import MARK


def find(directory: Path) -> list[int]:
    """The processes whose environment carries this run directory's mark.

    Only those whose environment this account may read: a stack's own account, or root.
    """
    mark = f"{MARK}={directory}".encode()
    return [int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _bears(entry, mark)]


def end(directory: Path, seconds: float = 15) -> None:
    """Ends them: asked first, after the given seconds by force."""
    deadline = time.monotonic() + seconds
    _signal(find(directory), signal.SIGTERM)
    while left := find(directory):
        if time.monotonic() > deadline:
            _signal(left, signal.SIGKILL)
        time.sleep(0.1)


def _bears(entry: Path, mark: bytes) -> bool:
    try:
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile, or belongs to another account
        return False


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue
