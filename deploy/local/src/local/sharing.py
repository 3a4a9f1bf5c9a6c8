"""A stack that several test sessions share: the first starts it, the last one out ends it."""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager

from local.stack import Stack

STARTED_BY_US = "started-by-tests"


@contextmanager
def shared(stack: Stack) -> Iterator[Stack]:
    """Holds the stack in use. Whoever leaves last ends it and drops its data, unless it ran before the first came."""
    stack.directory.mkdir(parents=True, exist_ok=True)
    with (stack.directory / "in-use").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        if not stack.supervisor.is_running():
            (stack.directory / STARTED_BY_US).touch()
        try:
            yield stack
        finally:
            _end_if_last(stack, file.fileno())


def end_if_unused(stack: Stack) -> None:
    """Ends what a killed test session left behind; one that is in use stays."""
    if (stack.directory / "in-use").exists():
        with (stack.directory / "in-use").open("w") as file:
            _end_if_last(stack, file.fileno())


def _end_if_last(stack: Stack, lock: int) -> None:
    ours = stack.directory / STARTED_BY_US
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:  # another session still uses it
        return
    if ours.exists():
        stack.down(wipe=True)
        ours.unlink()
