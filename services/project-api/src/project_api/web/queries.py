"""Queries as forms send them: what nobody filled in comes as empty text, and is left out."""

from typing import Any

from pydantic import BaseModel, model_validator


class FormQuery(BaseModel):
    """The base of every query; fields that are no text say so with :func:`or_blank`."""

    @model_validator(mode="before")
    @classmethod
    def _filled_in(cls, values: Any) -> Any:
        return {name: value for name, value in values.items() if value != ""} if isinstance(values, dict) else values


def or_blank(schema: dict[str, Any]) -> None:
    """Says in the description that the text may be empty, too."""
    about: dict[str, Any] = {name: schema.pop(name) for name in ("title", "default") if name in schema}
    kinds = schema.pop("anyOf", None) or [dict(schema)]
    schema.clear()
    schema |= {**about, "anyOf": [*kinds, {"const": ""}]}
