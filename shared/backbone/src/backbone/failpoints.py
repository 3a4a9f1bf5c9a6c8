"""Named places where a test may kill or block the process; unset, each costs one look at an empty dictionary."""

import os
import random
import signal
import time
from pathlib import Path

from backbone import metrics

_armed: dict[str, tuple[str, float]] = {}


def arm(specification: str) -> None:
    """Arms ``name=action:chance`` pairs, comma-separated: ``kill`` (SIGKILL), ``stop`` (SIGSTOP), ``block`` (40 s).

    Raises :class:`ValueError` for a word it doesn't know, so that a mistyped fault cannot pass for one survived.
    """
    for pair in filter(None, specification.split(",")):
        name, _, action = pair.partition("=")
        verb, _, chance = action.partition(":")
        if verb not in ("kill", "stop", "block"):
            raise ValueError(f"failpoint {pair!r}: the action must be kill, stop or block")
        _armed[name] = (verb, float(chance or 1))


def failpoint(name: str) -> None:
    """A place in the pipeline where the process may be made to die."""
    if _armed and name in _armed:
        _act(name, *_armed[name])


def _act(name: str, verb: str, chance: float) -> None:
    if random.random() >= chance:  # noqa: S311 - chance, not secrecy
        return
    metrics.FAILPOINTS.labels(name).inc()
    if record := os.environ.get("FAILPOINTS_RECORD"):
        with Path(record).open("a") as hits:
            hits.write(f"{name}\n")
    if verb == "block":
        time.sleep(40)
    else:
        os.kill(os.getpid(), signal.SIGKILL if verb == "kill" else signal.SIGSTOP)
