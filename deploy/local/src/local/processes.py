"""The processes of a stack as the machine sees them, whether or not their supervisor still lives."""

import os
import signal
import time
from collections.abc import Collection
from pathlib import Path

MARK = "UCA_STACK"
"""A variable that every process of a stack inherits; its value is the run directory."""


def find(directory: Path) -> set[int]:
    """The processes that bear this run directory's mark.

    Only those whose environment this account may read: a stack's own account, or root.
    """
    mark = f"{MARK}={directory}".encode()
    return {int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit() and _bears(entry, mark)}


def end(directory: Path, seconds: float = 15) -> None:
    """Ends them: asked first, after the given seconds by force."""
    deadline = time.monotonic() + seconds
    send(find(directory), signal.SIGTERM)
    while left := find(directory):
        if time.monotonic() > deadline:
            send(left, signal.SIGKILL)
        time.sleep(0.1)


def send(pids: Collection[int], number: signal.Signals) -> None:
    """Signals processes; one that has ended meanwhile is fine."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            continue


def _bears(entry: Path, mark: bytes) -> bool:
    """A process that has ended but was not reaped yet has an empty environment."""
    try:
        return mark in (entry / "environ").read_bytes().split(b"\0")
    except OSError:  # it ended meanwhile, or belongs to another account
        return False
