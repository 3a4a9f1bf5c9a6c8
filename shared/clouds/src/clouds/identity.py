"""Keystone's objects as values of ours; zCompute's identity is derived from it."""

from typing import Any

from clouds.answers import Answer, text
from clouds.errors import Invalid
from clouds.port import CloudProject, CloudUser


def object_in(answer: Answer, field: str) -> dict[str, Any]:
    """The object as ``{field: {...}}``, as Keystone has it, or bare. Raises Invalid."""
    document = answer.json()
    if isinstance(document, dict) and isinstance(document.get(field), dict):
        document = document[field]
    if not isinstance(document, dict):
        raise Invalid(f"The cloud's answer has no {field}.")
    return document


def project_of(item: dict[str, Any]) -> CloudProject:
    """Raises Invalid for what has no id or name."""
    return CloudProject(text(item, "id"), text(item, "name"), item.get("enabled") is not False)


def user_of(item: dict[str, Any]) -> CloudUser:
    """Raises Invalid for what has no id or name."""
    return CloudUser(text(item, "id"), text(item, "name"), item.get("enabled") is not False)
