"""Ports of one run directory: chosen once, remembered in `ports.json`, so that URLs stay as they were."""

import json
import socket
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path

from local.credentials import UnreadableError, write_private

FIRST, LAST = 20000, 32000
"""Below the range from which Linux takes outgoing connections' ports (32768 and up)."""


def remembered(path: Path) -> dict[str, int]:
    """The ports by name as they were chosen, empty before the first time.

    Raises:
        UnreadableError: the file is not whole.
    """
    try:
        return json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise UnreadableError(
            f"{path} is not whole. End the stack, and the next start chooses its ports anew: make down"
        ) from error


def allocate(path: Path, names: Iterable[str], *, in_use: bool) -> dict[str, int]:
    """Gives every name a port and remembers it.

    Args:
        path: the file that remembers.
        names: what needs a port.
        in_use: the stack runs, so its own ports are rightly busy; else a busy one is replaced, and so are all where
            the file is not whole.

    Raises:
        RuntimeError: no port is free in the range.
        UnreadableError: the stack runs, and the file is not whole.
    """
    try:
        ports = remembered(path)
    except UnreadableError:
        if in_use:
            raise
        ports = {}
    kept = {name: port for name, port in ports.items() if in_use or is_free(port)}
    candidates = _candidates(path, taken=set(kept.values()))
    for name in names:
        if name not in kept:
            kept[name] = next(candidates)
    if kept != ports:
        write_private(path, json.dumps(kept, indent=2, sort_keys=True) + "\n")
    return kept


def is_free(port: int) -> bool:
    """Whether a listener may be opened on this port, on any address."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("0.0.0.0", port))  # noqa: S104 - only a probe: a busy port on any address counts as busy
        except OSError:
            return False
        return True


def _candidates(path: Path, taken: set[int]) -> Iterator[int]:
    """Free ports; two run directories start at different places, so that they seldom race for one."""
    start = zlib.crc32(str(path).encode()) % (LAST - FIRST)
    for offset in range(LAST - FIRST):
        port = FIRST + (start + offset) % (LAST - FIRST)
        if port not in taken and is_free(port):
            yield port
    raise RuntimeError(f"no free port between {FIRST} and {LAST}")
