"""Raising projects' runs: the columns and the event of each next run, stored by compare-and-set in one statement."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from typing import Any

from backbone.database import Transaction
from contracts.events import Participant, RunRequested
from contracts.status import Kind
from pydantic_core import to_json

from project_api.directory.people import VERSIONS
from project_api.parts import Parts
from project_api.runs import estimates, rules

PEOPLE = """
    (SELECT json_agg(json_build_object('user_id', m.user_id, 'email', m.email, 'name', m.name, 'role', m.role,
        'reasons', m.reasons) ORDER BY m.position)
    FROM participants AS m WHERE m.identifier = p.identifier)
"""
LEARNED = """
    (SELECT json_object_agg(size_class, json_build_array(runs, p50_seconds, p95_seconds))
    FROM status_projector.estimates AS e WHERE e.provider = p.provider AND e.region = p.region)
"""
DONE = """
    array(SELECT u.user_id FROM status_projector.user_status AS u
        WHERE u.identifier = p.identifier AND u.run = p.run AND u.status <> 'failed')
"""
"""The users with whom the latest run has come to a good end."""

BEFORE = f"p.command, {PEOPLE} AS people, {DONE} AS done, {LEARNED} AS estimates, now() AS now"
"""What :func:`next_run` asks for of the projects ``p``, beside their run, their goal and what the event has."""

RAISE = f"""
    WITH raised AS (
        UPDATE projects AS p SET run = each.run, kind = each.kind, goal = each.goal, command = each.command,
            participants = each.participants, requested_at = now(), deadline_at = each.deadline_at,
            estimate = each.estimate, open = true, status = 'provisioning', swept_at = NULL, sweeps = 0,
            swept_progress = 0
        FROM jsonb_to_recordset(CAST(:runs AS jsonb)) AS each (identifier text, run integer, version integer, kind text,
            goal text, command jsonb, participants integer, deadline_at timestamptz, estimate jsonb)
        WHERE p.identifier = each.identifier AND p.run = each.run - 1
            AND p.version = coalesce(each.version, p.version)
        RETURNING p.identifier, p.tenant_id
    ), joined AS (
        INSERT INTO participants (identifier, tenant_id, user_id, position, email, name, role, reasons)
        SELECT raised.identifier, raised.tenant_id, each.user_id, each.position, each.email, each.name, each.role,
            each.reasons
        FROM raised, jsonb_to_recordset(CAST(:people AS jsonb)) AS each
            (user_id bigint, position integer, email text, name text, role text, reasons text[])
        ON CONFLICT (identifier, user_id) DO UPDATE SET position = excluded.position, email = excluded.email,
            name = excluded.name, role = excluded.role, reasons = excluded.reasons
    ), parted AS (
        DELETE FROM participants AS m USING raised
        WHERE m.identifier = raised.identifier AND m.user_id = ANY(CAST(:leaving AS bigint[]))
    )
    SELECT (SELECT count(*) FROM raised) AS raised, {VERSIONS} AS versions
    """  # noqa: S608 - our own words

STAYING: Mapping[str, Any] = {"people": "[]", "leaving": [], "directory_names": []}
"""The participants' rows are as the runs have them already."""


@dataclass(frozen=True, slots=True)
class NextRun:
    """A run to be raised: the project's columns as they are then, and its event."""

    project: Mapping[str, Any]
    event: RunRequested


def next_run(row: Any, command: Mapping[str, Any], everybody: Sequence[Participant], seconds: float) -> NextRun:
    """The run of this command that follows the one of ``row``, and may take so many seconds.

    A run begins with what the one before it has left unfinished, so nothing that was accepted is lost.
    """
    left = rules.unfinished(row.command, row.done, {each.user_id for each in everybody})
    command = rules.carrying(command, left)
    kind = rules.kind_of(command)
    project = {
        **row._mapping,
        "run": row.run + 1,
        "kind": kind,
        "goal": row.goal if kind is Kind.CANCEL else kind,
        "command": command,
        "participants": len(everybody) + len(command.get("removed", ())),
        "requested_at": row.now,
        "deadline_at": row.now + timedelta(seconds=seconds),
        "estimate": estimates.learned(row.estimates, len(everybody)),
    }
    return NextRun(project, rules.event(project, command, everybody))


_STORED = ("identifier", "run", "version", "kind", "goal", "command", "participants", "deadline_at", "estimate")


async def store(tx: Transaction, parts: Parts, following: Sequence[NextRun], moved: Mapping[str, Any] = STAYING) -> Any:
    """Stores the runs, the participants as they are then (``moved``), and the events.

    Answers how many were raised, and the directory's versions. Where somebody was quicker it is one less than were
    asked for, and the transaction must be given up.
    """
    stored = [{name: each.project.get(name) for name in _STORED} for each in following]
    done = (await tx.execute(RAISE, {"runs": to_json(stored).decode(), **moved})).one()
    for each in following:
        tx.emit(each.event)
        tx.committed.append(partial(parts.changes.notify, each.event.identifier))
    return done
