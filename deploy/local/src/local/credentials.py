"""Passwords and keys of one run directory: made at its first start, readable by their owner only."""

import base64
import json
import os
import secrets
from collections.abc import Iterable
from pathlib import Path


class UnreadableError(Exception):
    """A file that a run directory remembers itself by is not whole; the message says what to do."""


def load(path: Path, names: Iterable[str]) -> dict[str, str]:
    """The credentials by name; what is missing is made and kept.

    A password is 32 URL-safe characters. A name that ends in `-key` gets 32 random bytes in base64, as AES-256 wants.

    Raises:
        UnreadableError: the file is not whole. It is not made anew: the data can't be opened without its passwords.
    """
    try:
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
    except ValueError as error:
        raise UnreadableError(
            f"{path} is not whole, and the stack's data has the passwords that were in it."
            " Put the file back, or drop the data: make down WIPE=1"
        ) from error
    missing = [name for name in names if name not in kept]
    if missing:
        kept |= {name: _key() if name.endswith("-key") else secrets.token_urlsafe(24) for name in missing}
        write_private(path, json.dumps(kept, indent=2, sort_keys=True) + "\n")
    return kept


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, whole or not at all."""
    part = path.with_name(path.name + ".part")
    descriptor = os.open(part, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    part.replace(path)


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()
