"""What clients may send about projects; anything else is refused by name."""

import math
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import to_json


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("An id must be a number.")  # noqa: TRY004 - the one that is a refusal in words
    return value


Id = Annotated[int, Field(ge=1, le=2**53 - 1), BeforeValidator(_number)]
"""As large as every JSON reader takes exactly."""


def _storable(value: Any) -> Any:
    _look(value, 0)
    return value


def _look(value: Any, depth: int) -> None:
    if depth > MAX_DEPTH:
        raise ValueError(f"The field must have at most {MAX_DEPTH} lists and objects one in another.")
    match value:
        case str():
            if "\x00" in value or (not value.isascii() and any("\ud800" <= each <= "\udfff" for each in value)):
                raise ValueError("The text must not contain NUL characters or halves of surrogate pairs.")
        case float() if not math.isfinite(value):
            raise ValueError("A number must be finite.")
        case list():
            for each in value:
                _look(each, depth + 1)
        case dict():
            for name, each in value.items():
                _look(name, depth)
                _look(each, depth + 1)


def _small(value: Any) -> Any:
    if len(to_json(value)) > MAX_JSON:
        raise ValueError(f"The field must have at most {MAX_JSON} bytes as JSON.")
    return value


MAX_JSON = 65_536
MAX_DEPTH = 32
"""Far below what every writer of JSON takes: an answer that has the field must be writable."""

MAX_USERS = 10_000

Text = Annotated[str, AfterValidator(_storable)]
Name = Annotated[Text, Field(min_length=1, max_length=255)]
Json = Annotated[Any, AfterValidator(_storable), AfterValidator(_small)]
UserIds = Annotated[list[Id], Field(max_length=MAX_USERS)]


class Body(BaseModel):
    """A request's body: unknown fields are an error, surrounding spaces are not part of any text."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)


class ProjectBody(Body):
    """A project to be created; only ``name`` and ``region`` are required, every other field may be left out or null."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [{"name": "Payments", "region": "region-1", "tenant_id": 5, "member_user_ids": [7, 8]}]
        }
    )

    name: Name
    region: Annotated[Text, Field(min_length=1, max_length=63)]
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    provider: Annotated[Text, Field(min_length=1, max_length=63)] | None = None
    tenant_id: Id | None = None
    user_ids: UserIds | None = None
    member_user_ids: UserIds | None = None
    type: Annotated[Text, Field(max_length=63)] | None = None
    assignment_scope: Literal["internal", "tenant", "client"] | None = None
    client_id: Id | None = None
    user_id: Id | None = None
    availability_zone: Annotated[Text, Field(max_length=255)] | None = None
    user_policies: Json = None
    metadata: Json = None

    @property
    def explicit(self) -> list[int]:
        """The users who were named, each once."""
        return list(dict.fromkeys([*(self.user_ids or ()), *(self.member_user_ids or ())]))


class ProjectChanges(Body):
    """What may be changed of a project; what is left out stays."""

    name: Name | None = None
    description: Annotated[Text, Field(max_length=10_000)] | None = None
    metadata: Json = None


class Members(Body):
    """The users who are to be in a project explicitly, instead of those who are now."""

    user_ids: UserIds


class Identifiers(Body):
    """Projects by identifier."""

    identifiers: Annotated[list[Annotated[Text, Field(max_length=64)]], Field(min_length=1, max_length=1000)]


class Nothing(Body):
    """Actions take no body, or an empty one."""
