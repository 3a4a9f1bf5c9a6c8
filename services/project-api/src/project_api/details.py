"""One project in full, and the changes that need no run: its name, description and metadata."""

from collections.abc import Mapping
from typing import Any

import asyncpg
from fastapi import Response
from pydantic_core import to_json

from project_api import access
from project_api.access import Scope, scoped
from project_api.parts import Caller
from project_api.projects import name_taken
from project_api.requests import ProjectChanges
from project_api.runs import pictures, rules
from project_api.runs.pictures import COLUMNS, JOIN, USERS
from project_api.status import etags
from project_api.web.answers import Json
from project_api.web.errors import Problem, not_found


def _read(where: Scope) -> str:
    return f"""
    SELECT {COLUMNS}, p.type, p.assignment_scope, p.client_id, p.owner_id, p.user_policies, p.metadata, p.created_by,
        t.name AS tenant, s.picture, coalesce(s.finished, false) AS finished, now() AS now, {USERS} AS users
    FROM projects AS p {JOIN} LEFT JOIN tenants AS t ON t.id = p.tenant_id
    WHERE p.identifier = :identifier AND {where}
    """  # noqa: S608 - our own words


READ = scoped(_read)

UPDATE = (
    "UPDATE projects SET name = coalesce(:name, name), description = coalesce(:description, description),"
    " metadata = CASE WHEN :with_metadata THEN CAST(:metadata AS jsonb) ELSE metadata END,"
    " version = version + 1, updated_at = now()"
    " WHERE identifier = :identifier AND version = coalesce(CAST(:version AS integer), version) RETURNING version"
)
VERSION = scoped(
    lambda where: (
        f"SELECT p.version, p.name, p.tenant_id FROM projects AS p WHERE p.identifier = :identifier AND {where}"  # noqa: S608 - our own words
    )
)

CHANGED = "The project has been changed since you read it. Read it again."


async def answer(caller: Caller, identifier: str) -> Response:
    """The detail; its ETag is that of what may be edited, for If-Match. What a run changes is not in it."""
    async with caller.reading() as connection:
        values = {"identifier": identifier, **access.parameters(caller)}
        row = (await connection.execute(READ[access.scope(caller)], values)).one_or_none()
    if row is None:
        raise not_found(access.NO_PROJECT)
    headers = {"ETag": etag(row.version), "Cache-Control": "private, no-cache"}
    return Json({"success": True, "data": detail(caller, row)}, headers=headers)


def etag(version: int) -> str:
    """The tag of a project's editable part."""
    return f'"v{version}"'


def detail(caller: Caller, row: Any) -> dict[str, Any]:
    """A project with its users and all that was sent with it."""
    shown = pictures.picture(row)
    return {
        **pictures.resource(row, shown),
        "type": row.type,
        "assignment_scope": row.assignment_scope,
        "client_id": row.client_id,
        "user_id": row.owner_id,
        "user_policies": row.user_policies,
        "metadata": row.metadata,
        "created_by": row.created_by,
        "tenant": None if row.tenant_id is None else {"id": row.tenant_id, "name": row.tenant},
        "users": pictures.users(row, shown),
        "error": shown["error"],
        "failure": shown["failure"],
        "waiting": pictures.waiting(shown, row.now),
        "overdue": pictures.overdue(shown, row.requested_at, row.now),
        "actions": rules.actions(pictures.standing(row, shown), may_write=access.may_change(caller, row.tenant_id)),
    }


async def update(caller: Caller, identifier: str, changes: ProjectChanges, if_match: str | None) -> Response:
    """Changes what was sent and answers the detail. Raises a 412 where If-Match names another version."""
    await access.require_writer(caller, identifier)
    sent = changes.model_fields_set
    async with caller.transaction() as tx:
        place = {"identifier": identifier, **access.parameters(caller)}
        found = (await tx.execute(VERSION[access.scope(caller)], place)).one_or_none()
        if found is None:
            raise not_found(access.NO_PROJECT)
        access.require_change(caller, found.tenant_id)
        expected = None if if_match is None or if_match.strip() == "*" else found.version
        if expected is not None and etag(expected) not in etags(if_match):
            raise Problem(412, CHANGED)
        try:
            changed = await tx.execute(
                UPDATE, {**_values(changes, sent), "identifier": identifier, "version": expected}
            )
        except asyncpg.UniqueViolationError:
            raise name_taken(changes.name or found.name) from None
        if changed.one_or_none() is None:
            raise not_found(access.NO_PROJECT) if expected is None else Problem(412, CHANGED)
        tx.committed.append(lambda: caller.parts.changes.notify(identifier))
    return await answer(caller, identifier)


def _values(changes: ProjectChanges, sent: set[str]) -> Mapping[str, Any]:
    return {
        "name": changes.name,
        "description": "" if "description" in sent and changes.description is None else changes.description,
        "with_metadata": "metadata" in sent,
        "metadata": None if changes.metadata is None else to_json(changes.metadata).decode(),
    }
