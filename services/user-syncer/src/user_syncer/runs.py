"""The runs: what the newest command on each project asks for, kept from its event, and how far it is planned."""

import json
from collections.abc import Iterable, Sequence
from typing import Any

from backbone.database import Database, Transaction
from contracts.events import Participant, ProvisioningFailed, RunRequested
from contracts.status import KINDS, Kind
from pydantic import TypeAdapter
from pydantic_core import to_json

from user_syncer.model import Run

Executor = Transaction | Database
"""What one statement is made on: alone, or among those of a transaction."""

KEEP_FORMER = (
    # An attempt under another e-mail again: the one before is not to be forgotten.
    "former = CASE WHEN m.may_have_issued AND m.asked_email IS DISTINCT FROM excluded.asked_email"
    " AND m.asked_email IS NOT NULL THEN m.former || jsonb_build_object('user_id', m.user_id, 'email', m.asked_email,"
    " 'role', m.asked_role) ELSE m.former END"
)
"""For an upsert that takes note of an attempt without a known end."""
DOUBT_ACCESS = (
    "role = NULL, key_id = NULL, sealed_secret = NULL, asked_email = coalesce(m.asked_email, m.email),"
    " asked_role = coalesce(m.role, m.asked_role), may_have_issued = true, updated_at = now(),"
    " retired_key_ids = array_remove(m.retired_key_ids || m.key_id, NULL)"
)
"""For an update that takes note of access whose end was begun and has no known end: none of it counts as there when it
is to be given again, and all of it when it is to be taken."""
REMEMBER = (
    "WITH newest AS ("  # noqa: S608 - our own text
    "INSERT INTO runs (identifier, run, kind, name, tenant_id, provider, region, participants, removed, redo,"
    " reread, deadline_at) SELECT identifier, run, kind, name, tenant_id, provider, region, participants, removed,"
    " redo, reread, deadline_at FROM jsonb_to_recordset(CAST(:commands AS jsonb)) AS command (identifier text,"
    " run integer, kind text, name text, tenant_id bigint, provider text, region text, participants jsonb,"
    " removed jsonb, redo bigint[], reread bigint[], deadline_at timestamptz) ORDER BY identifier"
    " ON CONFLICT (identifier) DO UPDATE SET run = excluded.run, kind = excluded.kind,"
    " tenant_id = excluded.tenant_id, participants = excluded.participants, removed = excluded.removed,"
    " redo = excluded.redo, reread = excluded.reread, drift = '{}', deadline_at = excluded.deadline_at,"
    " planned_at = NULL, chunks_left = 0, failure = NULL"
    " WHERE runs.run < excluded.run RETURNING identifier, run"
    "), stopped AS (UPDATE chunks SET superseded = true, fence = fence + 1 FROM newest"
    " WHERE chunks.identifier = newest.identifier AND chunks.run < newest.run AND NOT superseded"
    " RETURNING chunks.identifier, chunks.run, orders, fence"
    # An order that was open is an attempt without a known end; the fence tells whether anybody had begun it.
    "), doubted AS (UPDATE member_records AS m SET "
    f"{DOUBT_ACCESS} FROM stopped, jsonb_to_recordset(orders) AS o (change jsonb),"
    " jsonb_to_record(change) AS c (user_id bigint, leaves boolean)"
    " WHERE leaves AND fence > 1 AND m.identifier = stopped.identifier AND m.user_id = c.user_id)"
    " INSERT INTO member_records AS m (identifier, user_id, email, asked_email, asked_role, may_have_issued, run,"
    " state) SELECT identifier, user_id, email, email, grant_role, true, run, 'pending' FROM stopped,"
    " jsonb_to_recordset(orders) AS o (email text, change jsonb, stored boolean),"
    " jsonb_to_record(change) AS c (user_id bigint, grant_role text, leaves boolean)"
    " WHERE stored IS NOT TRUE AND leaves IS NOT TRUE ORDER BY identifier, user_id"
    " ON CONFLICT (identifier, user_id) DO UPDATE SET may_have_issued = true, updated_at = now(),"
    " asked_email = excluded.asked_email,"
    f" asked_role = coalesce(excluded.asked_role, m.asked_role), {KEEP_FORMER}"
)
READ = (
    "SELECT identifier, run, kind, name, tenant_id, provider, region, participants::text, removed::text, redo,"
    " reread, provider_project_id, planned_at IS NOT NULL, chunks_left, failure::text, deadline_at <= now(),"
    " EXISTS (SELECT FROM chunks WHERE chunks.identifier = runs.identifier AND chunks.run < runs.run"
    " AND lease_until > now()), EXISTS (SELECT FROM member_records AS m WHERE m.identifier = runs.identifier)"
    " FROM runs WHERE identifier = ANY(CAST(:identifiers AS text[]))"
)
LOCK = "SELECT FROM runs WHERE identifier = ANY(CAST(:identifiers AS text[])) ORDER BY identifier FOR UPDATE"
FAIL = (
    "UPDATE runs SET failure = CAST(:failure AS jsonb)"
    " WHERE identifier = :identifier AND run = :run AND planned_at IS NULL AND failure IS NULL"
)
CHUNK_DONE = (
    # A chunk that looks for a lost key afterwards is none of the plan's.
    "UPDATE runs SET chunks_left = chunks_left - 1 WHERE identifier = :identifier AND run = :run AND chunks_left > 0"
    " RETURNING chunks_left"
)
ACCESS_GONE = (
    "SELECT NOT EXISTS (SELECT FROM member_records WHERE identifier = :identifier AND run = :run AND state = 'failed')"
)

_PARTICIPANTS = TypeAdapter(tuple[Participant, ...])


_KEPT = {"identifier", "run", "name", "tenant_id", "provider", "region", "deadline_at", "participants"} | {
    "removed", "redo", "reread"
}  # fmt: skip


async def remember(tx: Transaction, commands: Iterable[RunRequested]) -> None:
    """Keeps what commands ask for, and takes the right to write from all work of older runs.

    A run no newer than the known one changes nothing. The name that a project first had stays: its cloud project is
    called by it.
    """
    newest = {command.identifier: command for command in sorted(commands, key=lambda command: command.run)}
    # A statement doesn't see the chunks of a plan that is committed while it waits for the run's row, and would leave
    # them open. So the row is waited for before; a first run has no older one's chunks.
    await lock(tx, sorted(each for each, command in newest.items() if command.run > 1))
    texts = ",".join(map(_command, newest.values()))
    await tx.execute(REMEMBER, {"commands": f"[{texts}]"})


def _command(command: RunRequested) -> str:
    asked: dict[str, Any] = {"removed": [], "redo": [], "reread": []}
    return to_json({**asked, **command.model_dump(include=_KEPT), "kind": KINDS[type(command)]}).decode()


async def read(executor: Executor, identifier: str) -> Run | None:
    """The newest run that is known of the project."""
    return (await read_all(executor, [identifier]))[0]


async def read_all(executor: Executor, identifiers: Sequence[str]) -> Sequence[Run | None]:
    """The newest run that is known of each project."""
    rows = await executor.execute(READ, {"identifiers": list(identifiers)})
    found = {row[0]: _run(tuple(row)) for row in rows}
    return [found.get(each) for each in identifiers]


async def lock(tx: Transaction, identifiers: Sequence[str]) -> None:
    """Holds the rows until the transaction ends."""
    if identifiers:
        await tx.execute(LOCK, {"identifiers": list(identifiers)})


async def fail(tx: Transaction, failure: ProvisioningFailed) -> bool:
    """Ends a run that could not be planned; False where it was planned, or is not the newest any more."""
    about = {"identifier": failure.identifier, "run": failure.run}
    done = await tx.execute(FAIL, {**about, "failure": json.dumps(failure.model_dump(mode="json"))})
    return done.rowcount > 0


async def chunk_done(tx: Transaction, identifier: str, run: int) -> bool:
    """Of a run that suspends or removes: counts one chunk as done; whether it was the last."""
    left = (await tx.execute(CHUNK_DONE, {"identifier": identifier, "run": run})).scalar_one_or_none()
    return bool(left == 0)


async def access_gone(tx: Transaction, identifier: str, run: int) -> bool:
    """Whether all its chunks done means that nobody has access: no user was given up."""
    return bool((await tx.execute(ACCESS_GONE, {"identifier": identifier, "run": run})).scalar_one())


def _run(row: tuple[Any, ...]) -> Run:
    identifier, number, kind, name, tenant_id, provider, region, participants, removed, redo, reread, *rest = row
    project_id, is_planned, chunks_left, failure, *flags = rest
    return Run(
        identifier,
        number,
        Kind(kind),
        name,
        tenant_id,
        provider,
        region,
        _PARTICIPANTS.validate_json(participants),
        _PARTICIPANTS.validate_json(removed),
        frozenset(redo),
        frozenset(reread),
        project_id,
        is_planned,
        chunks_left,
        ProvisioningFailed.model_validate_json(failure) if failure else None,
        *flags,
    )
