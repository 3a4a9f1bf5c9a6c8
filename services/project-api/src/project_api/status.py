"""The status of one project: a single statement, and nothing built for a client that knows it already."""

import time
from collections.abc import Mapping
from typing import Any

from fastapi import Response

from project_api import access
from project_api.access import Scope, scoped
from project_api.parts import Caller
from project_api.runs import pictures, rules
from project_api.runs.pictures import COLUMNS, JOIN, USERS
from project_api.web.answers import Json
from project_api.web.errors import not_found
from project_api.web.idempotency import CALLER

RETRY_AFTER = "2"


# A cancelled run shows what is so on the cloud, whichever run told it; reports of the run before may still come.
LATE_REPORTS = """CASE p.kind WHEN 'cancel' THEN (SELECT '.' || sum(hashtext(u.event_id::text))
            FROM status_projector.user_status AS u WHERE u.identifier = p.identifier) END"""


def _read(where: Scope) -> str:
    # What costs (the picture, the users) stands behind the comparison with the ETag that the client sent. The minutes
    # of a run that goes on are in the tag because what is overdue is a matter of time alone, and so is whether the time
    # that it waits for has come. The caller is entered by the same statement: a join on the right side's columns alone
    # takes its left side first.
    return f"""
    SELECT {COLUMNS}, coalesce(s.finished, false) AS finished, now() AS now, e.etag,
        CASE WHEN e.etag <> ALL (string_to_array(:known, ',')) THEN s.picture END AS picture,
        CASE WHEN e.etag <> ALL (string_to_array(:known, ',')) THEN {USERS} END AS users
    FROM {CALLER} AS caller LEFT JOIN (projects AS p {JOIN}
    CROSS JOIN LATERAL (SELECT concat('"', p.version, '.', p.run, '.', coalesce(s.version, 0), '.',
        CASE WHEN s.finished THEN 0 ELSE floor(extract(epoch FROM now() - p.requested_at) / 60) END, '.',
        CAST(:mark AS text), CAST(s.picture #>> '{{waiting,until}}' AS timestamptz) <= now(), {LATE_REPORTS},
        '"') AS etag) AS e) ON p.identifier = :identifier AND {where}
    """  # noqa: S608 - our own words


READ = scoped(_read)

MARKS = {Scope.ALL: "w", Scope.TENANT: "t"}
"""In the tag, whose picture it is: of one project these see other actions than those who only read (``r``)."""


async def fetch(caller: Caller, identifier: str, known: list[str]) -> Any:
    """The project's row with its read model. Raises a 404 for what is not there or not the caller's."""
    where = access.scope(caller)
    # The tags as one text, in which none has a comma: of a list the driver asks at length whether it is one.
    asked = {"identifier": identifier, "known": ",".join(known), "mark": MARKS.get(where, "r")}
    values = {**asked, **caller.settings, **access.parameters(caller)}
    row = (await caller.database.execute(READ[where], values)).one()
    if row["identifier"] is None:
        raise not_found(access.NO_PROJECT)
    return row


async def answer(caller: Caller, identifier: str, if_none_match: str | None, wait: int | None) -> Response:
    """The status, or 304 where the client has it. With ``wait`` (s) it is held until it differs, or the time is up."""
    known = etags(if_none_match)
    if wait is None or not known:
        return _response(caller, await fetch(caller, identifier, known), known)
    parts = caller.parts
    until = time.monotonic() + wait
    with parts.changes.watch(identifier) as watch:
        while True:
            row = await fetch(caller, identifier, known)
            left = until - time.monotonic()
            if not _is_known(row, known) or left <= 0 or parts.draining.is_set():
                return _response(caller, row, known)
            async with parts.in_flight.waiting():
                await watch.next(left)


def etags(header: str | None) -> list[str]:
    """The tags of If-None-Match, compared weakly as RFC 9110 asks of it."""
    return [tag.strip().removeprefix("W/") for tag in header.split(",")] if header else []


def _is_known(row: Any, known: list[str]) -> bool:
    return row["etag"] in known or "*" in known  # the star is any, of what is there


def _response(caller: Caller, row: Any, known: list[str]) -> Response:
    headers = {"ETag": row["etag"], "Retry-After": RETRY_AFTER, "Cache-Control": "private, no-cache"}
    if _is_known(row, known):
        return Response(status_code=304, headers=headers)
    return Json(body(caller, row), headers=headers)


def body(caller: Caller, row: Any) -> dict[str, Any]:
    """Every reading of the status: at the top, in ``data``, in ``project``."""
    shown = pictures.picture(row)
    may_write = access.may_change(caller, row.tenant_id)
    told = _told(row, shown, rules.actions(pictures.standing(row, shown), may_write=may_write))
    common = {"id": row.identifier, "identifier": row.identifier, "name": row.name, "status": shown["status"]}
    steps = {"provisioning_progress": shown["steps"], **pictures.times(row, shown)}
    return {
        "success": True,
        "identifier": row.identifier,
        "status": shown["status"],
        **told,
        "data": {**common, **told, **steps},
        "project": {
            **common,
            "provisioning_status": shown["status"],
            **steps,
            "region": row.region,
            "provider": row.provider,
            "availability_zone": row.availability_zone,
            "tenant_id": row.tenant_id,
            "users": {"local": pictures.users(row, shown)},
            "summary": [],
        },
    }


def _told(row: Any, shown: Mapping[str, Any], actions: Mapping[str, bool]) -> dict[str, Any]:
    times = pictures.times(row, shown)
    return {
        "error": shown["error"],
        "failure": shown["failure"],
        "progress": shown["progress"],
        "waiting": pictures.waiting(shown, row.now),
        "overdue": pictures.overdue(shown, row.requested_at, row.now),
        "run": row.run,
        "estimated_completion": times["estimated_completion"],
        "estimate": times["estimate"],
        "actions": actions,
    }


async def reached(caller: Caller, identifier: str, seconds: float) -> Mapping[str, Any]:
    """The body of the status once the run has ended, or after ``seconds``, whichever comes first."""
    parts = caller.parts
    until = time.monotonic() + seconds
    with parts.changes.watch(identifier) as watch:
        while True:
            row = await fetch(caller, identifier, [])
            left = until - time.monotonic()
            if row.finished or left <= 0 or parts.draining.is_set():
                return body(caller, row)
            async with parts.in_flight.waiting():
                await watch.next(left)
