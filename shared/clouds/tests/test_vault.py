"""Sealed secrets open for their owner alone, and sealing keys rotate without downtime."""

import base64
import os
from pathlib import Path

import pytest
from clouds.vault import SealedFor, StaticKeys, Vault, VaultError, load_keys

OWNER = SealedFor(5, 7, "AKIA1")


def key() -> str:
    return base64.b64encode(os.urandom(32)).decode()


def keys(*pairs: str) -> StaticKeys:
    return load_keys({"SEALING_KEYS": ",".join(pairs)})


def test_what_is_sealed_opens_for_its_owner() -> None:
    """And the sealed bytes show nothing of the secret, nor are they twice the same."""
    vault = Vault(keys(f"a:{key()}"))
    sealed = vault.seal("s3cret", OWNER)
    assert vault.open(sealed, OWNER) == "s3cret"
    assert b"s3cret" not in sealed
    assert vault.seal("s3cret", OWNER) != sealed


@pytest.mark.parametrize(
    "other", [SealedFor(6, 7, "AKIA1"), SealedFor(5, 8, "AKIA1"), SealedFor(5, 7, "AKIA2"), SealedFor(None, 7, "AKIA1")]
)
def test_it_opens_for_nobody_else(other: SealedFor) -> None:
    """Another tenant, user or key: a row copied elsewhere is worthless."""
    vault = Vault(keys(f"a:{key()}"))
    with pytest.raises(VaultError):
        vault.open(vault.seal("s3cret", OWNER), other)


@pytest.mark.parametrize("broken", [b"", b"\x01", b"\x02\x01a", b"\x01\x40a", b"\x01\x01a" + bytes(20)])
def test_damage_is_an_error_that_tells_nothing(broken: bytes) -> None:
    """Whatever the bytes are, the answer is a VaultError."""
    with pytest.raises(VaultError):
        Vault(keys(f"a:{key()}")).open(broken, OWNER)


def test_one_changed_bit_is_noticed() -> None:
    """Anywhere behind the head."""
    vault = Vault(keys(f"a:{key()}"))
    sealed = bytearray(vault.seal("s3cret", OWNER))
    sealed[-1] ^= 1
    with pytest.raises(VaultError):
        vault.open(bytes(sealed), OWNER)


def test_keys_rotate_without_downtime() -> None:
    """Add the new key behind, move it to the front, reseal, drop the old one: at no step is anything unreadable."""
    old, new = f"old:{key()}", f"new:{key()}"
    sealed = Vault(keys(old)).seal("s3cret", OWNER)
    assert Vault(keys(old, new)).reseal(sealed, OWNER) is None
    resealed = Vault(keys(new, old)).reseal(sealed, OWNER)
    assert resealed is not None
    assert Vault(keys(new)).open(resealed, OWNER) == "s3cret"
    with pytest.raises(VaultError, match="'old' is not configured"):
        Vault(keys(new)).open(sealed, OWNER)


def test_a_file_is_read_before_the_variable(tmp_path: Path) -> None:
    """One pair per line, as a mounted secret has them."""
    file = tmp_path / "keys"
    file.write_text(f"b:{key()}\na:{key()}\n")
    assert load_keys({"SEALING_KEY_FILE": str(file), "SEALING_KEYS": f"c:{key()}"}).newest == "b"


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({}, "openssl rand"),
        ({"SEALING_KEYS": "a:short"}, "32 bytes"),
        ({"SEALING_KEYS": "nocolon"}, "32 bytes"),
        ({"SEALING_KEYS": ":" + "A" * 44}, "entry 1"),
        ({"SEALING_KEY_FILE": "/nowhere"}, "cannot be read"),
    ],
)
def test_wrong_keys_are_named_without_showing_them(environ: dict[str, str], words: str) -> None:
    """The setting, the entry and what to do; never the value."""
    with pytest.raises(VaultError, match=words) as raised:
        load_keys(environ)
    assert "short" not in str(raised.value)


def test_a_key_file_that_is_no_text_is_named(tmp_path: Path) -> None:
    """As one made without -base64 is; nothing of what is in it is shown."""
    file = tmp_path / "keys"
    file.write_bytes(b"a:\xfa\xfb\xfc")
    with pytest.raises(VaultError, match=r"SEALING_KEY_FILE: .*no text") as caught:
        load_keys({"SEALING_KEY_FILE": str(file)})
    assert caught.value.__cause__ is None
