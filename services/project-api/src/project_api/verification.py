"""The cloud against our records, read at once, and in what they differ.

This and the preview of a run make the only cloud calls of project-api, and they only read.
"""

from collections.abc import Callable, Collection, Mapping
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
from clouds.reconcile import names_of, plan
from contracts.events import Participant
from contracts.status import Kind
from pydantic import TypeAdapter

from project_api import access
from project_api.parts import Caller
from project_api.runs import commands
from project_api.runs.rules import Command
from project_api.web.errors import Problem

RECORDS = (
    "SELECT user_id, email, role, provider_user_id, key_id, retired_key_ids, may_have_issued,"
    " former::text FROM user_syncer.members WHERE identifier = :identifier"
)

_FORMER = TypeAdapter(tuple[UserRecord, ...])


async def verify(caller: Caller, identifier: str) -> dict[str, Any]:
    """In what the cloud differs from what our records say should be there."""
    await access.require_writer(caller, identifier)
    row = await find_project(caller, identifier)
    everybody = () if row.goal != Kind.PROVISION else commands.recorded(row)
    records = await read_records(caller, identifier)
    names = {cloud_user_name(each.email) for each in everybody} | {n for r in records.values() for n in names_of(r)}
    cloud, project, snapshot = await read_cloud(caller, row, lambda _: names)
    disabled = row.goal == Kind.SUSPEND and cloud.capabilities.can_disable_project
    wanted = [desired_user(cloud, each) for each in everybody]
    changes = () if disabled or project is None else plan(wanted, snapshot, records, cloud.capabilities)
    drift = [described(each) for each in changes if not each.unchanged]
    in_sync = not drift and (project is not None) == (row.goal != Kind.REMOVE)
    if project is None and row.goal == Kind.SUSPEND:
        # One that was suspended before it was ever made is not missing.
        in_sync = not any(each.provider_user_id for each in records.values())
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


async def find_project(caller: Caller, identifier: str) -> Any:
    """The project's row, as a command reads it. Raises as :func:`commands.look` does."""
    async with caller.transaction() as tx:
        return await commands.look(tx, caller, identifier)


async def read_records(caller: Caller, identifier: str) -> Mapping[int, UserRecord]:
    """What we have on record of each member's access."""
    # The tenant's role doesn't see members at all; that the project is the caller's is known by now.
    rows = (await caller.parts.database.execute(RECORDS, {"identifier": identifier})).all()
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


async def read_cloud(
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


def desired_user(cloud: CloudProvider, each: Participant, *, rotate: bool = False) -> DesiredUser:
    """A participant as the cloud is to have them."""
    return DesiredUser(each.user_id, each.email, cloud.capabilities.cloud_role(each.role), rotate)


def described(change: UserChange) -> dict[str, Any]:
    """A change as previews and verifications tell it."""
    return {
        "user_id": change.user_id,
        "name": change.name,
        "leaves": change.leaves,
        "former": [cloud_user_name(each.email) for each in change.former],
        "actions": change.actions,
        "calls": change.calls,
    }
