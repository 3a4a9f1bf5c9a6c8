"""What creating a project would do: who would be in and why, and what that changes on the cloud. Stores nothing."""

from collections.abc import Mapping
from typing import Any

from clouds.port import DesiredUser, Snapshot
from clouds.reconcile import expected_calls, plan
from contracts.events import Participant
from contracts.status import size_class
from fastapi import APIRouter, Response
from pydantic_core import to_json

from project_api import access, checks, estimates
from project_api.cloud_models import Preview
from project_api.parts import Caller, CallerDep
from project_api.requests import ProjectBody

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
    return Response(to_json(await preview(caller, body)), media_type="application/json")


async def preview(caller: Caller, body: ProjectBody) -> Mapping[str, Any]:
    """Raises what creating the project would: a 403 for a member, a 422 for what cannot be."""
    if not access.may_write(caller):
        raise access.readers_only()
    wanted = checks.checked(caller, body)
    people = await checks.people_for(caller, wanted, None)
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
    created = {"user_id": None, "name": wanted.name, "actions": ["create_project"], "calls": 1}
    return {
        "success": True,
        "message": "This is what creating the project would do. Nothing was stored.",
        "data": {
            "participants": [_person(each) for each in everybody],
            "changes": [
                created,
                *({"user_id": c.user_id, "name": c.name, "actions": c.actions, "calls": c.calls} for c in changes),
            ],
            "calls": 1 + expected_calls(changes),
            "estimate": await _estimate(caller, wanted, len(everybody)),
        },
    }


async def _estimate(caller: Caller, wanted: ProjectBody, users: int) -> Mapping[str, Any]:
    values = {"provider": wanted.provider, "region": wanted.region, "size": size_class(users)}
    async with access.reading(caller) as connection:
        row = (await connection.execute(ESTIMATE, values)).one_or_none()
    learned = estimates.estimate(*row) if row else None
    return learned or {"seconds": estimates.DEFAULT_SECONDS}


def _person(each: Participant) -> dict[str, Any]:
    return {"id": each.user_id, "name": each.name, "email": each.email, "role": each.role, "reasons": each.reasons}
