"""What a change of a user starts: runs in the projects that they are in, in the change's own transaction.

The caller holds the directory's lock, so no project is missed that is being stored at this moment. A run that goes on
is superseded by the new one, which redoes only what is missing. What a status shows of its users has changed in any
case, so a tag from before is no longer the status's. Nobody has access to a suspended project, unless the cloud refused
to take it: there the participants change and no run starts, for resuming it is one, which names who left. A project
whose event no message would hold stays as it is, its participants too, and the change goes on without it: the next
provision works them out.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import structlog
from backbone.database import Transaction
from contracts.events import Participant
from contracts.status import Kind
from prometheus_client import Counter
from pydantic_core import to_json

from project_api import participants
from project_api.directory.people import User
from project_api.parts import Parts
from project_api.runs import commands, raising, sizes
from project_api.runs.raising import BEFORE, next_run
from project_api.runs.rules import noting

log = structlog.get_logger()

TOO_LARGE = Counter("uca_runs_too_large_total", "Runs that a change of a user didn't start, for no message holds them")


def _affected(condition: str) -> str:
    return f"""
    SELECT p.identifier, p.name, p.tenant_id, p.provider, p.region, p.run, p.goal, {BEFORE}
    FROM projects AS p WHERE p.goal <> 'remove' AND {condition} ORDER BY p.identifier FOR UPDATE
    """  # noqa: S608 - our own words


IS_IN = "p.identifier IN (SELECT identifier FROM participants WHERE user_id = :user_id)"
THEIRS = _affected(IS_IN)
LACKING = _affected(f"(:is_admin OR p.tenant_id = CAST(:tenant_id AS bigint)) AND NOT {IS_IN}")

CHANGE = (
    "UPDATE participants SET email = :email, name = :name, role = :role,"
    " reasons = CASE WHEN tenant_id = :former THEN array_remove(reasons, 'tenant') ELSE reasons END"
    " WHERE user_id = :user_id AND identifier = ANY(CAST(:identifiers AS text[]))"
)
REMOVE = "DELETE FROM participants WHERE user_id = :user_id AND identifier = ANY(CAST(:identifiers AS text[]))"
JOIN = (
    "INSERT INTO participants (identifier, tenant_id, user_id, position, email, name, role, reasons)"
    " SELECT p.identifier, p.tenant_id, :user_id, (SELECT coalesce(max(position), -1) + 1 FROM participants AS m"
    " WHERE m.identifier = p.identifier), :email, :name, :role, CAST(:reasons AS text[])"
    " FROM projects AS p WHERE p.identifier = ANY(CAST(:identifiers AS text[]))"
)
NOTE = (
    "UPDATE projects AS p SET command = each.command FROM jsonb_to_recordset(CAST(:noted AS jsonb))"
    " AS each (identifier text, command jsonb) WHERE p.identifier = each.identifier"
)
TOUCH = "UPDATE projects SET version = version + 1 WHERE identifier = ANY(CAST(:identifiers AS text[]))"

Split = tuple[Sequence[Participant], Sequence[Participant]]
"""The participants from now on, and those who leave."""


async def user_changed(tx: Transaction, before: User, after: User | None, parts: Parts) -> list[str]:
    """The user was removed (``after`` is None) or changed role, e-mail or tenant; the identifiers whose run was raised.

    A former tenant's projects lose who was in them by that tenant alone.
    """
    rows = (await tx.execute(THEIRS, {"user_id": before.id})).all()
    await _touch(tx, rows)
    gone = {"user_id": before.id}
    if after is None:

        def without(row: Any) -> Split:
            return participants.without(commands.recorded(row), {before.id})

        return await _ask(tx, parts, rows, without, statement=REMOVE, values=gone)
    former = before.tenant_id if before.tenant_id != after.tenant_id else None

    def as_now(row: Any) -> Split:
        ended = "tenant" if former is not None and row.tenant_id == former else None
        return participants.as_now(commands.recorded(row), after, ended)

    leaving = {row.identifier for row in rows if as_now(row)[1]}
    left = [row for row in rows if row.identifier in leaving]
    staying = [row for row in rows if row.identifier not in leaving]
    started = await _ask(tx, parts, left, as_now, statement=REMOVE, values=gone)
    values = {**gone, "email": after.email, "name": after.name, "role": after.role, "former": former}
    if (before.email, before.role) == (after.email, after.role):
        await tx.execute(CHANGE, {**values, "identifiers": [row.identifier for row in staying]})
        return started
    # Where an account has one role in all projects, our record of each single one may be wrong by now.
    reread = [after.id] if before.role != after.role else []
    return started + await _ask(tx, parts, staying, as_now, statement=CHANGE, values=values, reread=reread)


async def join_projects(tx: Transaction, user: User, parts: Parts) -> list[str]:
    """The user joins every project that their role and tenant put them in; the identifiers whose run was raised."""
    is_admin = user.role == "admin"
    lacking = {"user_id": user.id, "is_admin": is_admin, "tenant_id": user.tenant_id}
    rows = (await tx.execute(LACKING, lacking)).all()
    if not rows:
        return []
    # Reasons as far as all these projects share them; a provision of one project works them out for it alone.
    joining = participants.gather({"admin": [user]} if is_admin else {"tenant": [user]})
    new = vars(joining[0]) | {"reasons": list(joining[0].reasons)}
    await _touch(tx, rows)

    def joined(row: Any) -> Split:
        return (*commands.recorded(row), *joining), ()

    return await _ask(tx, parts, rows, joined, statement=JOIN, values=new)


async def _touch(tx: Transaction, rows: Sequence[Any]) -> None:
    await tx.execute(TOUCH, {"identifiers": [row.identifier for row in rows]})


async def _ask(
    tx: Transaction,
    parts: Parts,
    rows: Sequence[Any],
    change: Callable[[Any], Split],
    *,
    statement: str,
    values: Mapping[str, Any],
    reread: Sequence[int] = (),
) -> list[str]:
    """Changes the participants, whose rows the statement changes, and raises the runs of who isn't suspended."""
    if not rows:
        return []
    tx.now = rows[0].now
    changed, following, noted = [], [], []
    for row in rows:
        everybody, leaving = change(row)
        command = commands.requested("members", removed=leaving, reread=reread)
        run = next_run(row, command, everybody, parts.settings.run_deadline_seconds)
        if sizes.size(run.event) > sizes.LARGEST:
            TOO_LARGE.inc()
            log.error("run.too_large", identifier=row.identifier, participants=len(everybody))
            continue
        changed.append(row.identifier)
        if row.goal == Kind.PROVISION:
            following.append(run)
        elif leaving:
            noted.append({"identifier": row.identifier, "command": noting(row.command, leaving)})
    await tx.execute(statement, {**values, "identifiers": changed})
    await tx.execute(NOTE, {"noted": to_json(noted).decode()})
    await raising.store(tx, parts, following)
    return [each.event.identifier for each in following]
