"""The routes of projects: one definition, mounted for each of the three audiences. The token decides what each sees."""

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Header, Path, Query, Request, Response
from pydantic_core import from_json, to_json

from project_api import credentials, details, listing, mending, preference, previewing, projects, timeline, verification
from project_api import status as statuses
from project_api.listing import ListQueryDep
from project_api.openapi import cloud
from project_api.openapi import projects as models
from project_api.parts import Caller, CallerDep
from project_api.requests import Identifiers, Members, Nothing, ProjectBody, ProjectChanges
from project_api.runs import commands
from project_api.runs.rules import Command
from project_api.timeline import TimelineQueryDep
from project_api.web.answers import Json
from project_api.web.errors import Problem
from project_api.web.idempotency import Answer, key_of

PREFIXES = {
    "/admin/v1/projects": "projects",
    "/tenant/v1/admin/projects": "projects of a tenant",
    "/api/v1/business/projects": "projects of a client",
}

LONGEST_IDENTIFIER = 64
Identifier = Annotated[str, Path(max_length=LONGEST_IDENTIFIER, examples=["F8Z4RK2M"])]
UserId = Annotated[int, Path(ge=1, le=2**63 - 1)]
Wait = Annotated[int | None, Query(ge=1, le=60, description="seconds to wait for a change (long poll)")]
IfNoneMatch = Annotated[str | None, Header()]
IfMatch = Annotated[str | None, Header()]


def _headers(**descriptions: str) -> dict[str, Any]:
    named = {name.replace("_", "-"): words for name, words in descriptions.items()}
    return {"headers": {name: {"description": words, "schema": {"type": "string"}} for name, words in named.items()}}


Responses = dict[int | str, dict[str, Any]]
"""What the routes cannot say of their answers by a model; every refusal gets its form in openapi.py."""

ETAG = "what was read, for If-None-Match"
POLLED: Responses = {
    200: _headers(ETag=ETAG, Retry_After="the seconds until the next poll"),
    304: {"description": "Nothing is new.", **_headers(ETag=ETAG, Retry_After="the seconds until the next poll")},
}
CREATED: Responses = {201: _headers(Location="the project", Retry_After="the seconds until the first poll")}
TAGGED: Responses = {200: _headers(ETag="what may be edited, for If-Match")}
CLOUD: Responses = {409: {}, 502: {}}
ONCE: Responses = {410: {}}
REPAIRING: Responses = {202: {"model": cloud.Repairing, "description": "A run that mends it has begun."}}

projects_router = APIRouter()


# First, because routes are tried in this order and this one is polled.
@projects_router.get("/{identifier}/status", response_model=models.StatusAnswer, responses=POLLED)
async def show_status(
    identifier: Identifier, caller: CallerDep, if_none_match: IfNoneMatch = None, wait: Wait = None
) -> Response:
    """How far the project's latest run has got. With `wait` and If-None-Match it answers when that changes."""
    return await statuses.answer(caller, identifier, if_none_match, wait)


@projects_router.post("", status_code=201, response_model=models.Created, responses=CREATED)
async def create_project(
    request: Request,
    body: ProjectBody,
    caller: CallerDep,
    idempotency_key: Annotated[str | None, Header(description='a quoted string, as "8e03978e-40d5"')] = None,
    prefer: Annotated[
        list[str] | None,
        Header(description="wait=N: answer once the run has ended, after N s at most, and say the status reached"),
    ] = None,
) -> Response:
    """Stores a project and answers at once; its provisioning runs behind it."""
    return await create(caller, body, request.url.path, idempotency_key, ", ".join(prefer or ()))


async def create(caller: Caller, body: ProjectBody, path: str, key: str | None, prefer: str | None) -> Response:
    """Answers a create at ``path``; ``key`` and ``prefer`` are its headers. Raises as :func:`projects.create` does."""
    once = key_of(caller.principal, f"POST {path}", key, body)
    answer = await projects.create(caller, body, once, path)
    return await _waited(caller, body, answer, preference.wait(prefer))


async def _waited(caller: Caller, body: ProjectBody, answer: Answer, wished: float | None) -> Response:
    seconds = preference.patience(caller.parts.settings, body.provider, wished)
    if answer.status != 201 or seconds is None:
        return answer.response()
    content = from_json(answer.body)
    try:
        reached = await statuses.reached(caller, content["identifier"], seconds)
    except Problem as problem:
        if problem.status != 404:
            raise
        return answer.response()  # it was created, and has been deleted since
    applied = {"Preference-Applied": f"wait={int(seconds)}"} if wished is not None else {}
    return Answer(201, answer.headers, to_json(preference.with_status(content, reached))).response(**applied)


@projects_router.get("", response_model=models.ProjectList)
async def list_projects(request: Request, caller: CallerDep, query: ListQueryDep) -> Response:
    """The projects that the caller sees, a page at a time."""
    return await listing.answer(caller, query, request.url.path)


@projects_router.post("/bulk-sync-status", response_model=models.StatusesSynced)
async def sync_statuses(caller: CallerDep, body: Identifiers) -> Response:
    """Derives the statuses of several projects again."""
    return Json(await mending.sync_status(caller, body.identifiers))


@projects_router.get("/{identifier}", response_model=models.OneProject, responses=TAGGED)
async def show_project(identifier: Identifier, caller: CallerDep) -> Response:
    """One project in full, with its users."""
    return await details.answer(caller, identifier)


@projects_router.get("/{identifier}/events", response_model=timeline.Timeline)
async def list_events(identifier: Identifier, request: Request, caller: CallerDep, query: TimelineQueryDep) -> Response:
    """Everything that happened to the project, newest first."""
    return await timeline.answer(caller, identifier, query, request.url.path)


@projects_router.put("/{identifier}", response_model=models.OneProject, responses=TAGGED)
@projects_router.patch("/{identifier}", response_model=models.OneProject, responses=TAGGED)
async def change_project(
    identifier: Identifier, body: ProjectChanges, caller: CallerDep, if_match: IfMatch = None
) -> Response:
    """Changes name, description or metadata; with If-Match only if nobody else did since."""
    return await details.update(caller, identifier, body, if_match)


@projects_router.post("/{identifier}/provision", status_code=202, response_model=models.Accepted)
async def provision(identifier: Identifier, caller: CallerDep, body: Nothing | None = None) -> Response:
    """A new run, for the participants as they are by the directory now."""
    del body
    draft = commands.provisioning(caller)
    return _accepted(await commands.carry_out(caller, identifier, Command.PROVISION, draft))


@projects_router.post("/{identifier}/provision-simulated", response_model=cloud.Preview, responses=CLOUD)
async def preview(identifier: Identifier, caller: CallerDep, body: Nothing | None = None) -> Response:
    """What a new run would do: who would be in and why, and what would change on the cloud. Changes nothing."""
    del body
    return Json(await previewing.run(caller, identifier))


@projects_router.put("/{identifier}/members", status_code=202, response_model=models.Accepted)
async def change_members(identifier: Identifier, body: Members, caller: CallerDep) -> Response:
    """Makes these users the explicit participants; who is in for another reason stays."""
    draft = commands.membership(caller, body.user_ids)
    return _accepted(await commands.carry_out(caller, identifier, Command.MEMBERS, draft))


@projects_router.post("/{identifier}/users/{user}/sync", status_code=202, response_model=models.Accepted)
async def sync_user(identifier: Identifier, user: UserId, caller: CallerDep, body: Nothing | None = None) -> Response:
    """Syncs one user afresh, with a new credential."""
    del body
    return _accepted(await commands.carry_out(caller, identifier, Command.USER_SYNC, commands.resync(user)))


@projects_router.get("/{identifier}/users/{user}/credential", response_model=credentials.OneCredential, responses=ONCE)
async def show_credential(identifier: Identifier, user: UserId, caller: CallerDep) -> Response:
    """The user's current credential. It is shown once, and that it was is on record."""
    return Json(await credentials.reveal(caller, identifier, user))


@projects_router.delete("/{identifier}", status_code=202, response_model=models.Accepted)
async def delete_project(identifier: Identifier, caller: CallerDep) -> Response:
    """Revokes all access, removes the project from the cloud, then from here."""
    return _accepted(await commands.carry_out(caller, identifier, Command.DELETE))


@projects_router.get("/{identifier}/verify", response_model=cloud.Verification, responses=CLOUD)
@projects_router.get("/{identifier}/verify-zadara", response_model=cloud.Verification, responses=CLOUD)
async def verify(identifier: Identifier, caller: CallerDep) -> Response:
    """Reads the cloud and says in what it differs from what should be there."""
    return Json(await verification.verify(caller, identifier))


@projects_router.post("/{identifier}/repair", response_model=cloud.Verification, responses={**CLOUD, **REPAIRING})
async def repair(identifier: Identifier, caller: CallerDep, body: Nothing | None = None) -> Response:
    """Verifies, and where something differs begins a run that mends it: 202. Nothing differs: 200."""
    del body
    status, content = await verification.repair(caller, identifier)
    return Json(content, status)


@projects_router.post("/{identifier}/sync-status", response_model=models.StatusSynced)
async def sync_status(identifier: Identifier, caller: CallerDep, body: Nothing | None = None) -> Response:
    """Derives the status again from what is known of the run."""
    del body
    return Json(await mending.sync_status(caller, [identifier], strict=True))


SIMPLE = {
    "retry-provisioning": Command.RETRY,
    "cancel": Command.CANCEL,
    "suspend": Command.SUSPEND,
    "archive": Command.SUSPEND,
    "resume": Command.RESUME,
    "activate": Command.RESUME,
}
"""Actions that keep the participants: path to command."""


def _add(path: str, command: Command) -> None:
    async def action(identifier: Identifier, caller: CallerDep, body: Nothing | None = None) -> Response:
        del body
        return _accepted(await commands.carry_out(caller, identifier, command))

    words = f"{commands.MESSAGES[command]} A 409 where the status forbids it."
    route = projects_router.post
    route(f"/{{identifier}}/{path}", status_code=202, response_model=models.Accepted, name=path, description=words)(
        action
    )


for _path, _command in SIMPLE.items():
    _add(_path, _command)


def _accepted(content: Mapping[str, Any]) -> Response:
    return Json(content, 202)


router = APIRouter()
for _prefix, _tag in PREFIXES.items():
    router.include_router(projects_router, prefix=_prefix, tags=[_tag])
