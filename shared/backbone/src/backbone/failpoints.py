"""Named places where a test may kill or block the process; unset, each costs a look at two empty lists."""

import asyncio
import os
import random
import re
import signal
import time
from pathlib import Path
from typing import NamedTuple

from backbone import metrics

_ACTION = re.compile(r"(?P<verb>kill|stop|block)(?P<seconds>\d+)?(:(?P<chance>[\d.]+))?(x(?P<times>\d+))?")


class Action(NamedTuple):
    """What happens at a failpoint: ``chance`` of each passing, at most ``times`` (0: always) by the record file."""

    verb: str
    seconds: float
    chance: float
    times: int


_armed: dict[str, Action] = {}
_files: list[Path] = []


def arm(specification: str) -> None:
    """Arms ``name=action`` pairs, comma-separated. An action is ``kill`` (SIGKILL), ``stop`` (SIGSTOP) or ``block``
    (the event loop, 40 s, or so many as follow the word), then perhaps ``:chance`` and ``xtimes``: ``kill:0.1x20``.

    ``@path`` names a file that holds such pairs and is read at each passing, so that a running process can be armed.
    FAILPOINTS_RECORD names a file that gets a line for each hit; the times are counted there, over all restarts.
    Raises :class:`ValueError` for a word it doesn't know, so that a mistyped fault cannot pass for one survived.
    """
    if specification.startswith("@"):
        _files.append(Path(specification[1:]))
    else:
        _armed.update(_parsed(specification))


def _parsed(specification: str) -> dict[str, Action]:
    actions = {}
    for pair in filter(None, specification.split(",")):
        name, _, words = pair.partition("=")
        found = _ACTION.fullmatch(words)
        if found is None:
            raise ValueError(f"failpoint {pair!r}: the action must be kill, stop or block, as kill:0.1x20 or block8")
        actions[name] = Action(
            found["verb"], float(found["seconds"] or 40), float(found["chance"] or 1), int(found["times"] or 0)
        )
    return actions


def failpoint(name: str) -> None:
    """A place in the pipeline where the process may be made to die."""
    if (_armed or _files) and (action := _look(name)):
        _act(name, action)


def failpoint_soon(name: str) -> None:
    """The same for a place inside a library's call: a millisecond after it has begun."""
    if (_armed or _files) and (action := _look(name)):
        asyncio.get_running_loop().call_later(0.001, _act, name, action)


def _look(name: str) -> Action | None:
    for path in _files:
        if path.exists():
            return _parsed(path.read_text()).get(name)
    return _armed.get(name)


def _act(name: str, action: Action) -> None:
    record = os.environ.get("FAILPOINTS_RECORD")
    if random.random() >= action.chance or (action.times and _hits(record, name) >= action.times):  # noqa: S311 - chance, not secrecy
        return
    metrics.FAILPOINTS.labels(name).inc()
    if record:
        with Path(record).open("a") as hits:
            hits.write(f"{name}\n")
    if action.verb == "block":
        time.sleep(action.seconds)
    else:
        os.kill(os.getpid(), signal.SIGKILL if action.verb == "kill" else signal.SIGSTOP)


def _hits(record: str | None, name: str) -> int:
    if record is None or not Path(record).exists():
        return 0
    return Path(record).read_text().split().count(name)
