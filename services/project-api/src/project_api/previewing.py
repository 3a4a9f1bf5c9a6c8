"""What creating a project, or a run of one that is there, would do: who would be in and why, and what changes on the
cloud. Stores nothing, so it begins with the directory's versions: nothing that is written compares them afterwards.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

from clouds.port import DesiredUser, Snapshot, UserChange
from clouds.reconcile import expected_calls, names_to_read, plan
from contracts.events import Participant
from contracts.status import size_class
from fastapi import APIRouter, Response

from project_api import access, checks, verification
from project_api.openapi.cloud import Preview
from project_api.parts import Caller, CallerDep
from project_api.requests import ProjectBody
from project_api.runs import commands, estimates
from project_api.web.answers import Json

ESTIMATE = (
    "SELECT runs, p50_seconds, p95_seconds FROM status_projector.estimates"
    " WHERE provider = :provider AND region = :region AND size_class = :size"
)
NOTHING_YET = Snapshot(None, roles={}, policies={}, keys={})
"""A project that is not there has neither grants nor keys; accounts that are there already are found by the run."""

router = APIRouter()


@router.post("/provision-simulated", response_model=Preview)
async def preview_project(body: ProjectBody, caller: CallerDep) -> Response:
    """What creating this project would do; nothing is stored and no cloud is asked."""
    return Json(await creation(caller, body))


async def creation(caller: Caller, body: ProjectBody) -> Mapping[str, Any]:
    """Raises what creating the project would: a 403 for a member, a 422 for what cannot be."""
    if not access.may_write(caller):
        raise access.readers_only()
    wanted = checks.checked(caller, body)
    people = await checks.people_for(caller, wanted, await caller.parts.directory.versions(wanted.tenant_id))
    everybody = checks.gather(
        people,
        explicit=wanted.explicit,
        creator=caller.principal.user_id,
        client=wanted.client_id,
        owner=wanted.user_id,
    )
    can = caller.parts.clouds.open(wanted.region).capabilities
    desired = [DesiredUser(each.user_id, each.email, can.cloud_role(each.role), rotate=True) for each in everybody]
    changes = plan(desired, NOTHING_YET, {}, can)
    return _answer(
        "This is what creating the project would do. Nothing was stored.",
        everybody,
        changes,
        created=wanted.name,
        estimate=await _estimate(caller, wanted, len(everybody)),
    )


async def run(caller: Caller, identifier: str) -> Mapping[str, Any]:
    """Whom a provision would bring in and why, what it would change on the cloud, and with how many calls."""
    await access.require_writer(caller, identifier)
    row = await verification.find_project(caller, identifier)
    order = await commands.provisioning(caller)(row, await caller.parts.directory.versions(row.tenant_id))
    records = await verification.read_records(caller, identifier)
    names = partial(names_to_read, records.values())
    cloud, project, snapshot = await verification.read_cloud(caller, row, names)
    if project is None:  # whatever access former accounts had went with it
        records = {user_id: replace(record, former=()) for user_id, record in records.items()}
    rotating = {each.user_id for each in order.everybody if each.user_id not in records}
    desired = [verification.desired_user(cloud, each, rotate=each.user_id in rotating) for each in order.everybody]
    return _answer(
        "This is what a run would do. Nothing was changed.",
        order.everybody,
        plan(desired, snapshot, records, cloud.capabilities),
        created=None if project else row.name,
        estimate=estimates.learned(row.estimates, len(order.everybody)),
        reading=snapshot.calls,
    )


def _answer(
    message: str,
    everybody: Sequence[Participant],
    changes: Sequence[UserChange],
    *,
    created: str | None,
    estimate: Mapping[str, Any] | None,
    reading: int = 0,
) -> Mapping[str, Any]:
    """``created`` is the name of the project where the cloud does not have it yet, ``reading`` the calls to look."""
    creating = (
        [] if created is None else [{"user_id": None, "name": created, "actions": ["create_project"], "calls": 1}]
    )
    return {
        "success": True,
        "message": message,
        "data": {
            "participants": [_person(each) for each in everybody],
            "changes": [*creating, *(verification.described(each) for each in changes if not each.unchanged)],
            "calls": len(creating) + expected_calls(changes) + reading,
            "estimate": estimate or {"seconds": estimates.DEFAULT_SECONDS},
        },
    }


async def _estimate(caller: Caller, wanted: ProjectBody, users: int) -> Mapping[str, Any] | None:
    values = {"provider": wanted.provider, "region": wanted.region, "size": size_class(users)}
    async with caller.reading() as connection:
        row = (await connection.execute(ESTIMATE, values)).one_or_none()
    return estimates.estimate(*row) if row else None


def _person(each: Participant) -> dict[str, Any]:
    return {"id": each.user_id, "name": each.name, "email": each.email, "role": each.role, "reasons": each.reasons}
