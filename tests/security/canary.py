"""Searches bytes for the mark that every secret of the cloud carries, however they were written down. Pure."""

import base64
import re
from collections.abc import Iterable, Iterator
from pathlib import Path


def forms(mark: str) -> tuple[bytes, ...]:
    """The mark as itself, in hex (as PostgreSQL dumps bytes), in base64 at each of its three offsets."""
    raw = mark.encode()
    encoded = (base64.b64encode(bytes(offset) + raw)[_head(offset) : _tail(offset, raw)] for offset in range(3))
    return tuple({raw, raw.hex().encode(), raw.hex().upper().encode(), *encoded})


def finds(content: bytes, *marks: str) -> list[bytes]:
    """Each place where one of the marks is, with what stands around it; for whoever has to find how it came there."""
    pattern = re.compile(b"|".join(re.escape(form) for mark in marks for form in forms(mark)))
    return [content[max(0, hit.start() - 120) : hit.end() + 40] for hit in pattern.finditer(content)]


def finds_in(files: Iterable[Path], *marks: str) -> Iterator[tuple[Path, bytes]]:
    """Each place in any of the files; what is gone meanwhile is left out."""
    for path in files:
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            continue
        for place in finds(content, *marks):
            yield path, place


def _head(offset: int) -> int:
    """Base64 digits that depend on the bytes before the mark."""
    return (offset * 8 + 5) // 6


def _tail(offset: int, raw: bytes) -> int:
    """The first digit that depends on the bytes after the mark."""
    return (offset + len(raw)) * 8 // 6
