"""The cloud against our records, read at once: what a run would do, and what has drifted.

These are the only cloud calls of project-api, and they only read.
"""

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from clouds.errors import CloudError, ProviderUnavailable
from clouds.naming import cloud_user_name
from clouds.port import (
    Capabilities,
    CloudProject,
    CloudProvider,
    DesiredUser,
    ProjectSpec,
    Snapshot,
    UserChange,
    UserRecord,
)
from clouds.reconcile import expected_calls, names_of, names_to_read, plan
from contracts.events import Participant
from contracts.status import Kind
from pydantic import TypeAdapter

from project_api import access, commands, estimates
from project_api.errors import Problem, not_found
from project_api.parts import Caller
from project_api.runs import Command

RECORDS = (
    "SELECT user_id, email, role, provider_user_id, key_id, retired_key_ids, may_have_issued,"
    " former::text FROM user_syncer.members WHERE identifier = :identifier"
)
CALLS_TO_CREATE = 1

_FORMER = TypeAdapter(tuple[UserRecord, ...])


async def preview(caller: Caller, identifier: str) -> dict[str, Any]:
    """Whom a provision would bring in and why, what it would change on the cloud, and with how many calls."""
    await access.require_writer(caller, identifier)
    row = await _project(caller, identifier)
    order = await commands.provisioning(caller)(row, None)
    records = await _records(caller, identifier)
    cloud, project, snapshot = await _read(caller, row, partial(names_to_read, records.values()))
    can = cloud.capabilities
    if project is None:  # whatever access former accounts had went with it
        records = {user_id: replace(record, former=()) for user_id, record in records.items()}
    rotating = {each.user_id for each in order.everybody if each.user_id not in records}
    wanted = [_desired(cloud, each, rotate=each.user_id in rotating) for each in order.everybody]
    changes = plan(wanted, snapshot, records, can)
    calls = expected_calls(changes) + snapshot.calls + (0 if project else CALLS_TO_CREATE)
    learned = estimates.learned(row.estimates, len(order.everybody))
    return {
        "success": True,
        "message": "This is what a run would do. Nothing was changed.",
        "data": {
            "participants": [_person(each) for each in order.everybody],
            "changes": [
                *([] if project else [{"user_id": None, "name": row.name, "actions": ["create_project"], "calls": 1}]),
                *(_change(each) for each in changes if not each.unchanged),
            ],
            "calls": calls,
            "estimate": learned or {"seconds": estimates.DEFAULT_SECONDS},
        },
    }


async def verify(caller: Caller, identifier: str) -> dict[str, Any]:
    """In what the cloud differs from what our records say should be there."""
    await access.require_writer(caller, identifier)
    row = await _project(caller, identifier)
    everybody = () if row.goal != Kind.PROVISION else commands.recorded(row)
    records = await _records(caller, identifier)
    names = {cloud_user_name(each.email) for each in everybody} | {n for r in records.values() for n in names_of(r)}
    cloud, project, snapshot = await _read(caller, row, lambda _: names)
    disabled = row.goal == Kind.SUSPEND and cloud.capabilities.can_disable_project
    wanted = [_desired(cloud, each) for each in everybody]
    changes = () if disabled or project is None else plan(wanted, snapshot, records, cloud.capabilities)
    drift = [_change(each) for each in changes if not each.unchanged]
    in_sync = not drift and (project is not None) == (row.goal != Kind.REMOVE)
    if project is not None and disabled:
        in_sync = in_sync and not project.enabled
    return {
        "success": True,
        "message": "The cloud has what it should have." if in_sync else "The cloud differs from what it should have.",
        "provider": row.provider,
        "project_exists": project is not None,
        "in_sync": in_sync,
        "drift": drift,
        "data": {
            "id": identifier,
            "identifier": identifier,
            "provider": row.provider,
            "region": row.region,
            "project_exists": project is not None,
            "provider_project_id": project.id if project else None,
            "enabled": project.enabled if project else None,
            "in_sync": in_sync,
            "drift": drift,
        },
    }


async def repair(caller: Caller, identifier: str) -> tuple[int, dict[str, Any]]:
    """Verifies, and where something differs asks for a run that mends it: a 202, else the verification and a 200.

    Raises a 409 where no run may be asked for now.
    """
    found = await verify(caller, identifier)
    if found["in_sync"]:
        return 200, found
    draft = commands.repair([each["user_id"] for each in found["drift"]])
    asked = await commands.carry_out(caller, identifier, Command.REPAIR, draft)
    return 202, {**asked, "project_exists": found["project_exists"], "drift": found["drift"]}


async def _project(caller: Caller, identifier: str) -> Any:
    async with caller.transaction() as tx:
        values = {"identifier": identifier, **access.parameters(caller)}
        row = (await tx.execute(commands.FIND[access.scope(caller)], values)).one_or_none()
    if row is None:
        raise not_found(access.NO_PROJECT)
    return row


async def _records(caller: Caller, identifier: str) -> Mapping[int, UserRecord]:
    # The tenant's role doesn't see members at all; that the project is the caller's is known by now.
    async with caller.parts.database.reading() as connection:
        rows = (await connection.execute(RECORDS, {"identifier": identifier})).all()
    return {
        row.user_id: UserRecord(
            row.user_id,
            row.email,
            row.role,
            row.provider_user_id,
            row.key_id,
            tuple(row.retired_key_ids),
            row.may_have_issued,
            _FORMER.validate_json(row.former),
        )
        for row in rows
    }


async def _read(
    caller: Caller, row: Any, each_of: Callable[[Capabilities], Collection[str]]
) -> tuple[CloudProvider, CloudProject | None, Snapshot]:
    """The cloud's state. Raises a 502 or 503 in the cloud's own words where it cannot be read, a 409 in maintenance."""
    try:
        cloud = caller.parts.clouds.open(row.region)
        spec = ProjectSpec(row.identifier, row.name)
        project = await cloud.find_project(spec)
        if project is None:
            return cloud, None, Snapshot(None, roles={}, policies={}, keys={})
        return cloud, project, await cloud.read_snapshot(spec, project.id, each_of(cloud.capabilities))
    except CloudError as error:
        raise _unread(error) from error


def _unread(error: CloudError) -> Problem:
    words = f"The cloud could not be read: {error}"
    if isinstance(error, ProviderUnavailable) and error.reason == "maintenance":
        return Problem(409, words)
    headers = {"Retry-After": str(max(1, round(error.retry_after or 5)))} if error.retryable else {}
    return Problem(503 if error.retryable else 502, words, headers=headers)


def _desired(cloud: CloudProvider, each: Participant, *, rotate: bool = False) -> DesiredUser:
    return DesiredUser(each.user_id, each.email, cloud.capabilities.cloud_role(each.role), rotate)


def _person(each: Participant) -> dict[str, Any]:
    return {"id": each.user_id, "name": each.name, "email": each.email, "role": each.role, "reasons": each.reasons}


def _change(change: UserChange) -> dict[str, Any]:
    return {
        "user_id": change.user_id,
        "name": change.name,
        "leaves": change.leaves,
        "former": [cloud_user_name(each.email) for each in change.former],
        "actions": change.actions,
        "calls": change.calls,
    }
