"""Every event of one project, newest first, each in words for a person.

A run that makes no progress is asked for again by us (runs/sweeper.py), in a new message each time. Nobody did that, so
of a run's requests the first is shown.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import Query, Response
from pydantic import BaseModel, ConfigDict, Field

from project_api import access
from project_api.parts import Caller
from project_api.runs.rules import EVENTS
from project_api.web.answers import Json
from project_api.web.paging import Links, Meta, PageQuery, paged

FROM = """
    FROM status_projector.timeline AS e WHERE e.identifier = :identifier
    AND NOT (e.type = ANY(CAST(:requests AS text[])) AND EXISTS (SELECT FROM status_projector.timeline AS first
        WHERE first.identifier = e.identifier AND first.run = e.run AND first.type = e.type AND first.seq < e.seq))
"""
PAGE = (
    f"SELECT e.*, m.name FROM (SELECT e.* {FROM}) AS e"  # noqa: S608 - our own words
    " LEFT JOIN participants AS m ON m.identifier = e.identifier AND m.user_id = CAST(e.data ->> 'user_id' AS bigint)"
    " ORDER BY e.time DESC, e.seq DESC LIMIT :limit OFFSET :offset"
)
COUNT = f"SELECT count(*) {FROM}"


class TimelineQuery(PageQuery):
    """A timeline's query."""

    model_config = ConfigDict(extra="forbid")


TimelineQueryDep = Annotated[TimelineQuery, Query()]


class Entry(BaseModel):
    """One event of a project, in words for a person."""

    id: str
    type: str = Field(examples=["LinkEnsured"])
    time: datetime
    run: int
    message: str = Field(examples=["The cloud project was created."])
    user_id: int | None


class Timeline(BaseModel):
    """A project's events, newest first, page by page."""

    success: Literal[True]
    data: list[Entry]
    links: Links
    meta: Meta


async def answer(caller: Caller, identifier: str, query: TimelineQuery, path: str) -> Response:
    """One page of the events. Raises a 404 for what is not there or not the caller's."""
    async with caller.reading() as connection:
        await access.require_reader(connection, caller, identifier)
        values = {"identifier": identifier, "requests": list(EVENTS)}
        rows = (await connection.execute(PAGE, {**values, **query.window})).all()
        total = (await connection.execute(COUNT, values)).scalar_one()
    return Json(paged(query, [_entry(row) for row in rows], path, total))


def _entry(row: Any) -> dict[str, Any]:
    return {
        "id": row.event_id,
        "type": row.type,
        "time": row.time,
        "run": row.run,
        "message": in_words(row.type, {**row.data, "user_name": row.name}),
        "user_id": row.data.get("user_id"),
    }


def _people(count: int) -> str:
    return "one user" if count == 1 else f"{count} users"


CHANGED = {
    "create_user": "account made",
    "grant_role": "role granted",
    "attach_policy": "policy attached",
    "issue_key": "credential issued",
    "revoke_role": "old role taken away",
    "detach_policy": "old policy detached",
    "revoke_key": "old credential revoked",
    "look_for_keys": "stray credentials looked for",
    "revoke_former_account": "former account ended",
}
"""What a sync changed on the cloud, in words."""


def _who(data: Mapping[str, Any]) -> str:
    """The participant by name; who is none any more has only a number."""
    return str(data.get("user_name") or f"User {data.get('user_id')}")


def _synced(data: Mapping[str, Any]) -> str:
    what = ", ".join(CHANGED.get(each, str(each).replace("_", " ")) for each in data.get("changed") or ())
    return f"{_who(data)} was synced: {what}." if what else f"{_who(data)} needed no change."


def _whom(data: Mapping[str, Any]) -> str:
    return f"{data['email']}: " if data.get("email") else ""


REASONS = {
    "retry": "A retry was asked for.",
    "provision": "Provisioning was asked for again.",
    "members": "The members were changed.",
    "user-sync": "A user's sync was asked for.",
    "resume": "The project was resumed.",
    "repair": "A repair of what differs on the cloud was asked for.",
}

WORDS: Mapping[str, Callable[[Mapping[str, Any]], str]] = {
    "ProjectCreated": lambda e: f"The project was created for {_people(len(e.get('participants', ())))}.",
    "ProvisioningRequested": lambda e: REASONS.get(str(e.get("reason")), "A run was asked for."),
    "SuspensionRequested": lambda _: "The project is to be suspended.",
    "RemovalRequested": lambda _: "The project is to be deleted.",
    "ProvisioningCancelled": lambda e: f"{e.get('cancelled_by') or 'Somebody'} cancelled the run.",
    "LinkEnsured": lambda e: {
        "created": "The cloud project was created.",
        "adopted": "The cloud project was there already and was taken over.",
    }.get(str(e.get("outcome")), "The cloud project is in place."),
    "LinkSuspended": lambda _: "The cloud project was suspended.",
    "LinkRemoved": lambda _: "The cloud project was removed.",
    "UserSynced": _synced,
    "UserRevoked": lambda e: f"{_who(e)} has no access any more.",
    "AccessRevoked": lambda _: "Nobody has access any more.",
    "ProvisioningFailed": lambda e: f"{_whom(e)}{e.get('message') or 'The run failed.'}",
    "ProvisioningDelayed": lambda e: str(e.get("message") or "The run waits."),
    "DriftDetected": lambda e: f"The cloud differs from our records: {', '.join(e.get('drift', ()))}.",
    "OrphanFound": lambda _: "A cloud project that bears this identifier was found, and no project should have it.",
}


def in_words(event_type: str, data: Mapping[str, Any]) -> str:
    """What happened, as a sentence."""
    words = WORDS.get(event_type)
    return words(data) if words else event_type
