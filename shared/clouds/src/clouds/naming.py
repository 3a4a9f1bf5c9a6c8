"""How our objects are called on a cloud: deterministic, so that a second attempt finds what the first one made."""

MARK_PREFIX = "uca:"


def cloud_project_name(name: str, identifier: str, limit: int) -> str:
    """``<name>-<identifier>``; a long name is cut to ``limit``, since the identifier alone makes it unique."""
    return f"{name.strip()[: limit - len(identifier) - 1].rstrip()}-{identifier}"


def cloud_user_name(email: str) -> str:
    """The e-mail in lower case: zCompute's names are case-insensitive, Keystone's are not on every database."""
    return email.strip().lower()


def link_mark(identifier: str) -> str:
    """What tells our cloud projects from others: a tag (Keystone) or the description (zCompute)."""
    return MARK_PREFIX + identifier
