"""How our objects are called on a cloud: deterministic, so that a second attempt finds what the first one made."""

import re
from collections.abc import Iterable

MARK_PREFIX = "uca:"
_IDENTIFIER = re.compile(r"[A-Za-z0-9][\w-]{0,62}", re.ASCII)


def cloud_project_name(name: str, identifier: str, limit: int) -> str:
    """``<name>-<identifier>``; a long name is cut to ``limit``, since the identifier alone makes it unique."""
    return f"{name.strip()[: limit - len(identifier) - 1].rstrip()}-{identifier}"


def cloud_user_name(email: str) -> str:
    """The e-mail in lower case: zCompute's names are case-insensitive, Keystone's are not on every database."""
    return email.strip().lower()


def link_mark(identifier: str) -> str:
    """What tells our cloud projects from others: a tag (Keystone) or the description (zCompute)."""
    return MARK_PREFIX + identifier


def marked_identifier(words: Iterable[object]) -> str | None:
    """Whose mark is among these words: a project's tags, or the words of its description. No other text than that of
    an identifier is believed, for anybody who may write on the cloud can write a mark.
    """
    marks = (word.removeprefix(MARK_PREFIX) for word in words if isinstance(word, str) and word.startswith(MARK_PREFIX))
    return next(filter(_IDENTIFIER.fullmatch, marks), None)
