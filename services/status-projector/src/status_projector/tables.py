"""The projector's tables: each function is one statement for a whole batch, however many projects and users it has.

Locks. Replicas fold at once, so rows are taken in one order: events by id, missing projects by identifier, then the
projects by identifier. Whoever waits in an earlier phase holds nothing that a later phase asks for, so none wait in a
ring; and whoever has a project's row is the only one to fold that project.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from backbone.database import Transaction
from backbone.envelope import upcast
from contracts.events import Event, ProvisioningFailed
from contracts.status import Picture, UserStatus, size_class
from pydantic_core import from_json

from status_projector.facts import FACTS, Facts, Known, Mark, Report, given_up
from status_projector.projections import picture, turn

LOG = (
    "WITH logged AS (INSERT INTO events (event_id, identifier, run, type, version, time, data)"
    " SELECT * FROM unnest(CAST(:ids AS uuid[]), CAST(:identifiers AS text[]), CAST(:runs AS integer[]),"
    " CAST(:types AS text[]), CAST(:versions AS smallint[]), CAST(:times AS timestamptz[]), CAST(:data AS jsonb[]))"
    " ON CONFLICT DO NOTHING RETURNING event_id),"
    " missing AS (INSERT INTO project_status (identifier) SELECT DISTINCT identifier"
    " FROM unnest(CAST(:identifiers AS text[])) AS identifier ORDER BY identifier ON CONFLICT DO NOTHING)"
    # Repeats are few; naming them costs less than naming what is new.
    " SELECT id::text FROM unnest(CAST(:ids AS uuid[])) AS id EXCEPT SELECT event_id::text FROM logged"
)
MAKE = (
    "INSERT INTO project_status (identifier) SELECT identifier"
    " FROM unnest(CAST(:identifiers AS text[])) AS identifier ORDER BY identifier ON CONFLICT DO NOTHING"
)
LOCK = (
    "SELECT identifier, facts::text, picture::text FROM project_status"
    " WHERE identifier = ANY(CAST(:identifiers AS text[])) ORDER BY identifier FOR UPDATE"
)
# LATERAL with a LIMIT is looked up by key whatever the statistics say; a plan made for an empty table would else stay.
REPORTS = (
    "SELECT told.* FROM unnest(CAST(:identifiers AS text[]), CAST(:users AS bigint[])) AS asked (identifier, user_id)"
    " CROSS JOIN LATERAL (SELECT identifier, user_id, run, status, updated_at, event_id::text FROM user_status"
    " WHERE identifier = asked.identifier AND user_id = asked.user_id LIMIT 1) AS told"
)
ALL_REPORTS = (
    "SELECT user_id, told.run, status, updated_at, event_id::text,"
    " CASE status WHEN 'failed' THEN data::text END AS failure, version"
    " FROM user_status AS told JOIN events USING (event_id) WHERE told.identifier = :identifier AND told.run = :run"
)
SAVE = (
    "WITH users AS (INSERT INTO user_status (identifier, user_id, run, status, code, message, updated_at, event_id)"
    " SELECT * FROM unnest(CAST(:user_identifiers AS text[]), CAST(:user_ids AS bigint[]),"
    " CAST(:user_runs AS integer[]), CAST(:user_statuses AS text[]), CAST(:codes AS text[]), CAST(:messages AS text[]),"
    " CAST(:user_times AS timestamptz[]), CAST(:event_ids AS uuid[]))"
    " ON CONFLICT (identifier, user_id) DO UPDATE SET run = excluded.run, status = excluded.status,"
    " code = excluded.code, message = excluded.message, updated_at = excluded.updated_at,"
    " event_id = excluded.event_id)"
    " INSERT INTO project_status (identifier, tenant_id, provider, region, run, version, status, kind, finished,"
    " picture, updated_at, started_at, completed_at, size_class, step, step_since, facts)"
    " SELECT * FROM unnest(CAST(:identifier AS text[]), CAST(:tenant_id AS bigint[]), CAST(:provider AS text[]),"
    " CAST(:region AS text[]), CAST(:run AS integer[]), CAST(:version AS bigint[]), CAST(:status AS text[]),"
    " CAST(:kind AS text[]), CAST(:finished AS boolean[]), CAST(:picture AS jsonb[]),"
    " CAST(:updated_at AS timestamptz[]), CAST(:started_at AS timestamptz[]), CAST(:completed_at AS timestamptz[]),"
    " CAST(:size_class AS text[]), CAST(:step AS text[]), CAST(:step_since AS timestamptz[]),"
    " CAST(:facts AS jsonb[]))"
    " ON CONFLICT (identifier) DO UPDATE SET tenant_id = excluded.tenant_id, provider = excluded.provider,"
    " region = excluded.region, run = excluded.run, version = excluded.version, status = excluded.status,"
    " kind = excluded.kind, finished = excluded.finished, picture = excluded.picture,"
    " updated_at = excluded.updated_at, started_at = excluded.started_at, completed_at = excluded.completed_at,"
    " size_class = excluded.size_class, step = excluded.step, step_since = excluded.step_since,"
    " facts = excluded.facts"
)

E = TypeVar("E", bound=Event)


class Entry(NamedTuple):
    """One event as it is logged."""

    event: Event
    mark: Mark
    data: str


class Stored(NamedTuple):
    """A project's row: the facts of its newest run, and what they look like."""

    facts: Facts | None
    picture: Picture | None


async def log(tx: Transaction, entries: Collection[Entry]) -> list[Entry]:
    """Logs events, and makes their projects' rows; returns those that come for the first time, by id."""
    ordered = sorted({entry.mark.id: entry for entry in entries}.items())
    rows = [entry for _, entry in ordered]
    answer = await tx.execute(
        LOG,
        {
            "ids": [each.mark.id for each in rows],
            "identifiers": [each.event.identifier for each in rows],
            "runs": [each.event.run for each in rows],
            "types": [type(each.event).__name__ for each in rows],
            "versions": [each.event.version for each in rows],
            "times": [each.mark.time for each in rows],
            "data": [each.data for each in rows],
        },
    )
    repeated = set(answer.scalars())
    return [each for each in rows if each.mark.id not in repeated]


def logged(kind: type[E], version: int, data: str) -> E:
    """An event of the log as the present version has it."""
    return kind.model_validate(upcast(kind, version, from_json(data)))


async def lock(tx: Transaction, identifiers: Collection[str]) -> dict[str, Stored]:
    """What is known of these projects, each held until the commit. A row is made where there is none (any more)."""
    given = {"identifiers": list(identifiers)}
    while len(rows := (await tx.execute(LOCK, given)).all()) < len(identifiers):
        await tx.execute(MAKE, given)
    return {
        row.identifier: Stored(
            FACTS.validate_json(row.facts) if row.facts else None,
            Picture.model_validate_json(row.picture) if row.picture else None,
        )
        for row in rows
    }


async def reports(tx: Transaction, users: Sequence[tuple[str, int]]) -> dict[tuple[str, int], Report]:
    """The last reports of these users, without what failed."""
    given = {"identifiers": [identifier for identifier, _ in users], "users": [user for _, user in users]}
    rows = await tx.execute(REPORTS, given)
    return {
        (row.identifier, row.user_id): Report(row.run, Mark(row.updated_at, row.event_id), UserStatus(row.status))
        for row in rows
    }


async def all_reports(tx: Transaction, identifier: str, run: int) -> dict[int, Report]:
    """Every report of one run, complete."""
    rows = await tx.execute(ALL_REPORTS, {"identifier": identifier, "run": run})
    return {row.user_id: _complete_report(row) for row in rows}


def _complete_report(row: Any) -> Report:
    mark = Mark(row.updated_at, row.event_id)
    failure = given_up(logged(ProvisioningFailed, row.version, row.failure), mark) if row.failure else None
    return Report(row.run, mark, UserStatus(row.status), failure)


async def save(tx: Transaction, projects: Mapping[str, Known]) -> dict[str, Stored]:
    """Writes projects, and the users of whom something was told; returns what is stored of the projects now."""
    users = [
        (identifier, user_id, known.users[user_id]) for identifier, known in projects.items() for user_id in known.told
    ]
    stored = {name: Stored(known.facts, picture(known.facts)) for name, known in projects.items() if known.facts}
    rows = [_row(identifier, row) for identifier, row in stored.items()]
    if not rows:
        return stored  # of a rebuild whose projects have been forgotten meanwhile
    await tx.execute(SAVE, {**_user_columns(users), **{name: [row[name] for row in rows] for name in rows[0]}})
    return stored


def _user_columns(users: Sequence[tuple[str, int, Report]]) -> dict[str, list[Any]]:
    told = [report for _, _, report in users]
    return {
        "user_identifiers": [identifier for identifier, _, _ in users],
        "user_ids": [user_id for _, user_id, _ in users],
        "user_runs": [each.run for each in told],
        "user_statuses": [each.status for each in told],
        "codes": [each.failure and each.failure.code for each in told],
        "messages": [each.failure and each.failure.message for each in told],
        "user_times": [each.mark.time for each in told],
        "event_ids": [each.mark.id for each in told],
    }


def _row(identifier: str, stored: Stored) -> dict[str, Any]:
    facts, shown = stored
    assert facts is not None  # noqa: S101 - only what is known is saved
    request, running = facts.request, turn(facts)
    return {
        "identifier": identifier,
        "tenant_id": request and request.tenant_id,
        "provider": request and request.provider,
        "region": request and request.region,
        "run": facts.run,
        "version": facts.version,
        "status": shown and shown.status,
        "kind": shown and shown.kind,
        "finished": shown is not None and shown.completed_at is not None,
        "picture": shown and shown.model_dump_json(),
        "updated_at": facts.updated_at,
        "started_at": shown and shown.started_at,
        "completed_at": shown and shown.completed_at,
        "size_class": request and size_class(request.participants),
        "step": running and running.step,
        "step_since": running and running.since,
        "facts": FACTS.dump_json(facts).decode(),
    }
