"""The search for marked secrets finds them in every form in which they could be kept."""

import base64
import json

import pytest

from tests.security.canary import finds

MARK = "MARKED-SECRET-"
SECRET = MARK + "q3u8"


@pytest.mark.parametrize("before", ["", "a", "ab", "abc"])
def test_a_secret_is_found_however_it_is_written(before: str) -> None:
    """Plain, as JSON, in hex and in base64 at any offset."""
    text = before + SECRET
    for content in (text, json.dumps({"k": text}), text.encode().hex(), base64.b64encode(text.encode()).decode()):
        assert finds(f"-- {content} --".encode(), MARK), content


def test_what_has_no_mark_is_not_found() -> None:
    """Neither the mark's beginning nor sealed bytes count."""
    assert finds(b"MARKED-SECRE " + base64.b64encode(bytes(range(256))), MARK) == []
