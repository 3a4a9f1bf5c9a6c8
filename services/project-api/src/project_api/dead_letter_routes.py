"""Dead letters for admins: list, inspect, replay, discard."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Request, Response
from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from project_api import dead_letters
from project_api.dead_letters import Filter, Verb
from project_api.parts import Caller, CallerDep
from project_api.requests import Body, Id, Text
from project_api.web.answers import Json
from project_api.web.errors import Problem, not_found
from project_api.web.paging import Links, Meta, PageQuery, paged
from project_api.web.queries import or_blank

NO_LETTER = "There is no such dead letter."

Service = Literal["project-api", "link-provisioner", "user-syncer", "status-projector"]


def _written(value: Any) -> Any:
    if not isinstance(value, str) or "T" not in value.upper():
        raise ValueError("A time must be written as 2026-01-31T12:00:00Z.")
    return value


def _in_range(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:  # within a day of the calendar's ends
        return datetime(1 if value.year == 1 else 9999, 1, 1, tzinfo=UTC)


Time = Annotated[AwareDatetime, BeforeValidator(_written), AfterValidator(_in_range)]
Words = Annotated[Text, Field(min_length=1, max_length=255)]
Ids = Annotated[list[Id], Field(min_length=1, max_length=dead_letters.MOST)]
LetterId = Annotated[int, Path(ge=1, le=2**53 - 1)]

router = APIRouter(prefix="/admin/v1/dead-letters", tags=["dead letters"])


class LetterQuery(PageQuery):
    """Which letters to list, and which page of them. ``error`` is part of the reason or of the error's words."""

    service: Service | None = Field(default=None, json_schema_extra=or_blank)
    project: Words | None = None
    error: Words | None = None
    since: Time | None = Field(default=None, json_schema_extra=or_blank)
    until: Time | None = Field(default=None, json_schema_extra=or_blank)
    state: Literal["open", "replayed", "discarded", "all"] = Field(default="open", json_schema_extra=or_blank)


class Choice(Body):
    """The open letters to decide on: everything that is given must hold, and something must be given."""

    model_config = ConfigDict(json_schema_extra={"minProperties": 1, "examples": [{"project": "F8Z4RK2M"}]})

    ids: Annotated[dict[Service, Ids], Field(min_length=1)] | SkipJsonSchema[None] = None
    service: Service | SkipJsonSchema[None] = None
    project: Words | SkipJsonSchema[None] = None
    error: Words | SkipJsonSchema[None] = None
    since: Time | SkipJsonSchema[None] = None
    until: Time | SkipJsonSchema[None] = None

    @model_validator(mode="before")
    @classmethod
    def _something(cls, values: Any) -> Any:
        """A client that sends null for whatever it leaves open must not choose everything by that; one that has lost
        its ids is to hear of it.
        """
        if isinstance(values, dict) and (not values or None in values.values()):
            raise ValueError("Give at least one of ids, service, project, error, since, until; none of them null.")
        return values


class Letter(BaseModel):
    """A message that could not be understood, or kept failing for reasons of ours."""

    service: Service
    id: int
    message_id: str
    type: str
    project: str
    reason: str
    error: str
    tries: int
    state: Literal["open", "replayed", "discarded"]
    parked_at: datetime
    decided_by: str | None
    decided_at: datetime | None
    routing_key: str
    content_type: str
    bytes: int


class WholeLetter(Letter):
    """A letter with all that is known of it."""

    headers: dict[str, Any]
    body: Any
    body_encoding: Literal["json", "base64"]
    traceparent: str | None


class Letters(BaseModel):
    """Letters, page by page."""

    success: bool
    data: list[Letter]
    links: Links
    meta: Meta


class OneLetter(BaseModel):
    """One letter."""

    success: bool
    data: WholeLetter


class Decided(BaseModel):
    """How many letters will be replayed or discarded, in all and by service, as soon as their services get to it."""

    success: bool
    message: str
    count: int
    services: dict[str, int]


@router.get("", response_model=Letters)
async def list_letters(request: Request, caller: CallerDep, query: Annotated[LetterQuery, Query()]) -> Response:
    """Dead letters of every service, the newest first."""
    state = None if query.state == "all" else query.state
    wanted = Filter.model_validate(query.model_dump(include=set(Filter.model_fields)))
    async with caller.reading() as connection:
        found, total = await dead_letters.search(connection, wanted, state, query)
    return Json(paged(query, found, request.url.path, total))


@router.get("/{service}/{letter_id:int}", response_model=OneLetter)
async def show_letter(caller: CallerDep, service: Service, letter_id: LetterId) -> Response:
    """One letter with headers, body and trace."""
    async with caller.reading() as connection:
        letter = await dead_letters.find(connection, service, letter_id)
    if letter is None:
        raise not_found(NO_LETTER)
    return Json({"success": True, "data": letter})


@router.post("/{verb}", status_code=202, response_model=Decided)
async def decide_on_many(caller: CallerDep, verb: Verb, body: Choice) -> Response:
    """Replays or discards the letters that are chosen, as far as they are open; safe to repeat."""
    wanted = Filter.model_validate(body.model_dump(exclude={"ids"}))
    async with caller.reading() as connection:
        letters = await dead_letters.chosen(connection, wanted, body.ids)
    return await _decide(caller, verb, letters)


@router.post("/{service}/{letter_id:int}/{verb}", status_code=202, response_model=Decided)
async def decide_on_one(caller: CallerDep, service: Service, letter_id: LetterId, verb: Verb) -> Response:
    """Replays or discards one letter; a 409 where it was decided on already."""
    async with caller.reading() as connection:
        letters = await dead_letters.chosen(connection, Filter(), {service: [letter_id]})
        if not letters and await dead_letters.find(connection, service, letter_id) is None:
            raise not_found(NO_LETTER)
    if not letters:
        raise Problem(409, "This dead letter was decided on already.")
    return await _decide(caller, verb, letters)


async def _decide(caller: Caller, verb: Verb, letters: Sequence[tuple[str, int]]) -> Response:
    async with caller.transaction() as tx:
        services = await dead_letters.decide(tx, verb, letters, caller.principal)
    words = {"replay": "replayed", "discard": "discarded"}[verb]
    content = {"success": True, "message": f"{len(letters)} dead letters are being {words}."}
    return Json({**content, "count": len(letters), "services": services}, 202)
