"""Seals secrets before they are stored: each under a data key of its own, and that one under a sealing key.

A sealed secret opens only for the tenant, user and key that it was sealed for (AES-GCM's additional data), so a row
copied to another user is worthless. Sealing keys come from a small port, and are rotated without downtime.
"""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_VERSION = 1
_NONCE = 12
_DATA_KEY = 32
_TAG = 16


class VaultError(Exception):
    """A secret cannot be opened, or the sealing keys cannot be used; the text says why and never shows a secret."""


class SealedFor(NamedTuple):
    """Whom a secret belongs to: bound to the ciphertext, stored beside it."""

    tenant_id: int | None
    user_id: int
    key_id: str

    def aad(self) -> bytes:
        return json.dumps(self).encode()


class KeyProvider(Protocol):
    """Where sealing keys come from; a key service of a cloud would be another one."""

    @property
    def newest(self) -> str:
        """The id of the key that seals."""
        ...

    def cipher(self, sealing_key_id: str) -> AESGCM:
        """Raises VaultError for an id that is not there."""
        ...


@dataclass(frozen=True, slots=True)
class StaticKeys:
    """Keys from a file or the environment; the first seals, the others only open."""

    ciphers: Mapping[str, AESGCM]

    @property
    def newest(self) -> str:
        return next(iter(self.ciphers))

    def cipher(self, sealing_key_id: str) -> AESGCM:
        try:
            return self.ciphers[sealing_key_id]
        except KeyError:
            raise VaultError(
                f"Sealing key {sealing_key_id!r} is not configured; add it again to read what it sealed."
            ) from None


def load_keys(environ: Mapping[str, str] = os.environ) -> StaticKeys:
    """From ``SEALING_KEY_FILE``, else ``SEALING_KEYS``: ``id:key`` pairs, each 32 bytes in base64, by comma or line.

    Raises VaultError that says what is wrong and how to make a key.
    """
    path, value = environ.get("SEALING_KEY_FILE"), environ.get("SEALING_KEYS", "")
    source = "SEALING_KEY_FILE" if path else "SEALING_KEYS"
    if path:
        try:
            value = Path(path).read_text(encoding="utf-8")
        except OSError as wrong:
            raise VaultError(f"SEALING_KEY_FILE: {path} cannot be read ({wrong.strerror}).") from wrong
        except UnicodeDecodeError:
            raise VaultError(f"SEALING_KEY_FILE: {path} is no text; make a key with: openssl rand -base64 32") from None
    pairs = [pair.strip() for pair in value.replace("\n", ",").split(",") if pair.strip()]
    if not pairs:
        raise VaultError(f"{source} is empty; give it id:key, with a key from: openssl rand -base64 32")
    ciphers: dict[str, AESGCM] = {}
    for number, pair in enumerate(pairs, start=1):
        key_id, _, encoded = pair.partition(":")
        if not 1 <= len(key_id.encode()) <= 64 or key_id in ciphers:
            raise VaultError(f"{source}: entry {number} needs an id of its own, of 1 to 64 characters, before a colon")
        ciphers[key_id] = AESGCM(_decoded(source, key_id, encoded))
    return StaticKeys(ciphers)


class Vault:
    """Seals and opens; both take a few microseconds."""

    def __init__(self, keys: KeyProvider) -> None:
        self._keys = keys

    def seal(self, secret: str, owner: SealedFor) -> bytes:
        """Layout: version, length of the sealing key's id, the id, nonce and wrapped data key, nonce and ciphertext."""
        key_id, aad = self._keys.newest, owner.aad()
        data_key, wrap_nonce, nonce = os.urandom(_DATA_KEY), os.urandom(_NONCE), os.urandom(_NONCE)
        wrapped = self._keys.cipher(key_id).encrypt(wrap_nonce, data_key, aad)
        return _head(key_id) + wrap_nonce + wrapped + nonce + AESGCM(data_key).encrypt(nonce, secret.encode(), aad)

    @property
    def newest_prefix(self) -> bytes:
        """How every secret begins that is sealed under the newest key."""
        return _head(self._keys.newest)

    def open(self, sealed: bytes, owner: SealedFor) -> str:
        """Raises VaultError for another owner's, a damaged one, or one whose sealing key is not configured."""
        key_id, rest = _split(sealed)
        aad = owner.aad()
        wrap_end = _NONCE + _DATA_KEY + _TAG
        try:
            data_key = self._keys.cipher(key_id).decrypt(rest[:_NONCE], rest[_NONCE:wrap_end], aad)
            nonce, ciphertext = rest[wrap_end : wrap_end + _NONCE], rest[wrap_end + _NONCE :]
            return AESGCM(data_key).decrypt(nonce, ciphertext, aad).decode()
        except (InvalidTag, ValueError):
            raise VaultError("The sealed secret is damaged, or was sealed for somebody else.") from None

    def reseal(self, sealed: bytes, owner: SealedFor) -> bytes | None:
        """Under the newest key; ``None`` where it is already. Raises VaultError as ``open`` does."""
        key_id, _ = _split(sealed)
        return None if key_id == self._keys.newest else self.seal(self.open(sealed, owner), owner)


def _head(key_id: str) -> bytes:
    name = key_id.encode()
    return bytes((_VERSION, len(name))) + name


def _split(sealed: bytes) -> tuple[str, bytes]:
    if len(sealed) < 2 or sealed[0] != _VERSION or len(sealed) < 2 + sealed[1]:
        raise VaultError("The sealed secret has an unknown layout.")
    end = 2 + sealed[1]
    return sealed[2:end].decode("utf-8", "replace"), sealed[end:]


def _decoded(source: str, key_id: str, encoded: str) -> bytes:
    try:
        key = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _DATA_KEY:
        raise VaultError(f"{source}: key {key_id!r} must be 32 bytes in base64; make one by: openssl rand -base64 32")
    return key
