"""What the answers say of a run, from one row of a project with its read model: pure.

Where the read model has not folded the project's latest run yet, the run shows its opening picture: so no answer is
older than a command that was answered.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from contracts.status import Kind, Status, StepStatus, UserStatus, opening_picture

from project_api.runs import estimates, rules

COLUMNS = """
    p.identifier, p.name, p.description, p.tenant_id, p.provider, p.region, p.availability_zone, p.created_at,
    p.updated_at, p.version, p.run, p.kind, p.goal, p.participants, p.requested_at, p.estimate
"""
JOIN = """
    LEFT JOIN status_projector.project_status AS s
    ON s.identifier = p.identifier AND s.run >= p.run AND s.status IS NOT NULL
"""
"""The read model's row, where its run is as new as the project's."""

USERS = """
    (SELECT json_agg(json_build_object('id', m.user_id, 'name', m.name, 'email', m.email, 'role', m.role,
        'reasons', m.reasons, 'fact', u.status, 'fact_run', u.run, 'code', u.code, 'message', u.message)
        ORDER BY m.position)
    FROM participants AS m
    LEFT JOIN status_projector.user_status AS u ON u.identifier = m.identifier AND u.user_id = m.user_id
    WHERE m.identifier = p.identifier)
"""

STEP_SHARES = {"link": 60.0, "users": 240.0, "active": 300.0}
"""Seconds of the 300 that a step may take before it counts as overdue."""


def picture(row: Any) -> dict[str, Any]:
    """The JSON of contracts.status.Picture for the project's latest run; ``row.picture`` is the read model's."""
    if row.picture is not None:
        found: dict[str, Any] = row.picture
        return found
    return opening_picture(Kind(row.kind), row.participants, row.requested_at).model_dump(mode="json")


def standing(row: Any, shown: Mapping[str, Any]) -> rules.Standing:
    """What the rules of commands ask for."""
    return rules.Standing(Kind(row.kind), Kind(row.goal), Status(shown["status"]), bool(row.finished))


def users(row: Any, shown: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Every participant of the latest run, with the word for where they stand in it."""
    listed: list[dict[str, Any]] = row.users or []
    going = any(step["id"] == "users" and step["status"] == StepStatus.PENDING for step in shown["steps"])
    for user in listed:
        fact, fact_run = user.pop("fact"), user.pop("fact_run")
        code, message = user.pop("code"), user.pop("message")
        user["status"] = _user_word(row, shown, fact, fact_run, going=going)
        if user["status"] == UserStatus.FAILED:
            user["error"] = {"code": code, "message": message}
    return listed


def _user_word(row: Any, shown: Mapping[str, Any], fact: str | None, fact_run: int | None, *, going: bool) -> str:
    if fact is not None and (fact_run == row.run or row.kind == Kind.CANCEL):
        return fact
    if row.kind == Kind.SUSPEND and shown["status"] == Status.SUSPENDED:
        return UserStatus.REVOKED  # a cloud that disables the whole project tells nothing of each user
    return UserStatus.PENDING if going else UserStatus.NOT_STARTED


def waiting(shown: Mapping[str, Any], now: datetime) -> dict[str, Any] | None:
    """Why the run waits, and until when as long as that is to come: afterwards it goes on once it is taken up."""
    told: dict[str, Any] | None = shown["waiting"]
    if told and datetime.fromisoformat(told["until"]) <= now:
        return {**told, "until": None}
    return told


def overdue(shown: Mapping[str, Any], requested_at: datetime, now: datetime) -> dict[str, Any] | None:
    """The running step where it takes longer than its share, and why it waits where that is known."""
    step = next((each for each in shown["steps"] if each["status"] == StepStatus.PENDING), None)
    if step is None or shown["completed_at"]:
        return None
    since = datetime.fromisoformat(step["updated_at"]) if step["updated_at"] else requested_at
    seconds = STEP_SHARES[step["id"]]
    if now - since <= timedelta(seconds=seconds):
        return None
    waiting = shown["waiting"]
    return {
        "step": step["id"],
        "since": since,
        "share_seconds": seconds,
        "reason": waiting["message"] if waiting else "It is being worked on, or queued behind other projects.",
    }


def times(row: Any, shown: Mapping[str, Any]) -> dict[str, Any]:
    """When the run began, ended, and is likely to end."""
    return {
        "provisioning_started_at": shown["started_at"],
        "provisioning_completed_at": shown["completed_at"],
        "estimated_completion": estimates.completion(row.requested_at, row.estimate),
        "estimate": estimates.range_of(row.requested_at, row.estimate),
    }


def resource(row: Any, shown: Mapping[str, Any]) -> dict[str, Any]:
    """A project as lists show it, and details begin."""
    return {
        "id": row.identifier,
        "identifier": row.identifier,
        "name": row.name,
        "description": row.description,
        "status": shown["status"],
        "provisioning_status": shown["status"],
        "region": row.region,
        "provider": row.provider,
        "availability_zone": row.availability_zone,
        "tenant_id": row.tenant_id,
        "run": row.run,
        "created_at": row.created_at,
        "updated_at": row.updated_at,
        "progress": shown["progress"],
        "provisioning_progress": shown["steps"],
        **times(row, shown),
        "resources_count": {"instances": 0, "volumes": 0},
    }
