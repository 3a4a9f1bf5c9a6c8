"""Who may watch what, in the database that all replicas share: a socket may be another replica's than its signature.

Every statement asks anew whether the one who holds the token may read the project.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from backbone.database import Database
from contracts.status import Kind, Picture, opening_picture

from project_api import access
from project_api.access import Scope, scoped
from project_api.auth.tokens import Principal
from project_api.parts import Caller
from project_api.push.news import View
from project_api.runs.pictures import JOIN

GRANT_SECONDS = 300
"""A signature not used within this time is worth nothing; clients use theirs at once."""

MAY_READ = """
    (w.role = 'admin' OR (w.role = 'tenant_admin' AND p.tenant_id = w.tenant_id)
        OR ((w.tenant_id IS NULL OR p.tenant_id IS NULL OR p.tenant_id = w.tenant_id) AND EXISTS
            (SELECT FROM participants AS own WHERE own.identifier = p.identifier AND own.user_id = w.user_id)))
    AND NOT EXISTS (SELECT FROM refused_tokens AS r
        WHERE r.user_id = w.user_id AND r.issued_before > to_timestamp(w.issued_at))
"""
"""The scopes of access.py, for many callers ``w`` in one statement, and for as long as their tokens are accepted."""

VIEW = """
    p.identifier, coalesce(s.run, p.run) AS run, p.kind, p.participants, p.requested_at, s.version,
    CAST(s.picture AS text) AS picture
"""
FROM_PROJECTS = f"FROM projects AS p {JOIN}"


def _give(where: Scope) -> str:
    return f"""
    INSERT INTO push_grants (socket_id, identifier, user_id, role, tenant_id, issued_at, expires_at)
    SELECT :socket_id, p.identifier, :user_id, :role, :tenant_id, :issued_at, :expires_at
    FROM projects AS p WHERE p.identifier = :identifier AND {where}
    ON CONFLICT (socket_id, identifier) DO UPDATE SET user_id = excluded.user_id, role = excluded.role,
        tenant_id = excluded.tenant_id, issued_at = excluded.issued_at, expires_at = excluded.expires_at,
        granted_at = excluded.granted_at
    RETURNING 1
    """  # noqa: S608 - our own words


GIVE = scoped(_give)
CLAIM = f"""
    SELECT w.user_id, w.role, w.tenant_id, w.issued_at, w.expires_at, {VIEW}
    {FROM_PROJECTS} JOIN push_grants AS w ON w.identifier = p.identifier
    WHERE w.socket_id = :socket_id AND w.identifier = :identifier AND {MAY_READ}
        AND w.granted_at > now() - make_interval(secs => {GRANT_SECONDS})
"""
STILL = f"""
    SELECT w.number FROM jsonb_to_recordset(CAST(:watchers AS jsonb))
        AS w(number int, identifier text, user_id bigint, role text, tenant_id bigint, issued_at float8)
    JOIN projects AS p ON p.identifier = w.identifier WHERE {MAY_READ}
"""  # noqa: S608 - our own words
NEWER = f"""
    SELECT {VIEW} {FROM_PROJECTS}
    JOIN jsonb_to_recordset(CAST(:known AS jsonb)) AS k(identifier text, run int, version bigint)
        ON k.identifier = p.identifier
    WHERE (coalesce(s.run, p.run), coalesce(s.version, 0)) > (k.run, k.version)
"""
FORGET = "DELETE FROM push_grants WHERE granted_at < now() - make_interval(secs => :seconds)"


class Claim(NamedTuple):
    """Who was let in, and what the project looks like to them."""

    principal: Principal
    view: View


class Watcher(NamedTuple):
    """One who watches one project."""

    identifier: str
    principal: Principal


async def give(caller: Caller, socket_id: str, identifier: str) -> bool:
    """Notes that the caller may watch the project on that socket; False where they may not, or there is none."""
    scope, principal = access.scope(caller), caller.principal
    values = {
        "socket_id": socket_id,
        "identifier": identifier,
        "user_id": principal.user_id,
        "role": principal.role,
        "tenant_id": principal.tenant_id,
        "issued_at": principal.issued_at,
        "expires_at": principal.expires_at,
        **access.parameters(caller),
    }
    async with caller.transaction() as tx:
        return (await tx.execute(GIVE[scope], values)).first() is not None


async def claim(database: Database, socket_id: str, identifier: str) -> Claim | None:
    """To whom the socket's channel was granted, with the current view; None where nobody (any more) may watch it."""
    row = (await database.execute(CLAIM, {"socket_id": socket_id, "identifier": identifier})).one_or_none()
    if row is None:
        return None
    principal = Principal(row.user_id, row.role, row.tenant_id, "", issued_at=row.issued_at, expires_at=row.expires_at)
    return Claim(principal, _view(row))


async def still_allowed(database: Database, watchers: Sequence[Watcher]) -> set[Watcher]:
    """Those of the watchers who may still watch."""
    asked = [
        {
            "number": number,
            "identifier": watcher.identifier,
            "user_id": watcher.principal.user_id,
            "role": watcher.principal.role,
            "tenant_id": watcher.principal.tenant_id,
            "issued_at": watcher.principal.issued_at,
        }
        for number, watcher in enumerate(watchers)
    ]
    rows = await database.execute(STILL, {"watchers": json.dumps(asked)})
    return {watchers[row.number] for row in rows}


async def newer(database: Database, known: Mapping[str, tuple[int, int]]) -> list[View]:
    """The view of each project that has one with a higher position than the one known, by identifier."""
    asked = [{"identifier": name, "run": run, "version": version} for name, (run, version) in known.items()]
    rows = await database.execute(NEWER, {"known": json.dumps(asked)})
    return [_view(row) for row in rows]


async def forget(database: Database) -> None:
    """Deletes grants whose time is over."""
    await database.execute(FORGET, {"seconds": 2 * GRANT_SECONDS})


def _view(row: Any) -> View:
    """The read model's picture, or that of a run which it doesn't know yet."""
    if row.picture is None:
        return View(row.identifier, row.run, 0, opening_picture(Kind(row.kind), row.participants, row.requested_at))
    return View(row.identifier, row.run, row.version, Picture.model_validate_json(row.picture))
