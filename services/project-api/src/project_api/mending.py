"""The copy of a status that lists are filtered by, derived again from the read model."""

from collections.abc import Sequence
from typing import Any

from project_api import access
from project_api.access import OWN, Scope
from project_api.parts import Caller
from project_api.runs.pictures import JOIN
from project_api.web.errors import not_found


def _sync(where: str) -> str:
    return f"""
    WITH asked AS (
        SELECT p.identifier, p.open, p.status AS copied, coalesce(s.finished, false) AS finished,
            coalesce(s.status, CASE p.kind WHEN 'remove' THEN 'suspended' ELSE 'provisioning' END) AS derived
        FROM projects AS p {JOIN}
        WHERE p.identifier = ANY(CAST(:identifiers AS text[])) AND {where}
        ORDER BY p.identifier FOR UPDATE OF p
    ), wrong AS (
        SELECT identifier, derived, finished FROM asked WHERE NOT open AND (copied <> derived OR NOT finished)
    ), fixed AS (
        UPDATE projects AS p SET status = wrong.derived, open = NOT wrong.finished
        FROM wrong WHERE p.identifier = wrong.identifier RETURNING p.identifier
    )
    SELECT (SELECT count(*) FROM fixed) AS fixed, coalesce((SELECT json_agg(json_build_object('id', identifier,
        'identifier', identifier, 'status', derived) ORDER BY identifier) FROM asked), '[]') AS projects
    """  # noqa: S608 - our own words


SYNC = {Scope.ALL: _sync("true"), Scope.TENANT: _sync(OWN)}
"""For those who may write at all: what they only read stays as it is."""


async def sync_status(caller: Caller, identifiers: Sequence[str], *, strict: bool = False) -> dict[str, Any]:
    """What each of the caller's projects is, and how many copies were wrong.

    ``strict`` raises a 404 for one not seen, a 403 for one that is theirs to read alone.
    """
    for each in identifiers if strict else ():
        await access.require_writer(caller, each)
    if not access.may_write(caller):
        raise access.readers_only()
    async with caller.transaction() as tx:
        values = {"identifiers": list(identifiers), **access.parameters(caller)}
        row = (await tx.execute(SYNC[access.scope(caller)], values)).one()
        projects = row.projects
        if strict and not projects:
            access.require_change(caller, await access.require_reader(tx, caller, identifiers[0]))
            raise not_found(access.NO_PROJECT)
    words = "Every status was right." if not row.fixed else f"{row.fixed} of {len(projects)} statuses were put right."
    data = projects[0] if strict else projects
    status = {"status": projects[0]["status"]} if strict else {}
    return {"success": True, "message": words, "fixed": row.fixed, **status, "data": data}
