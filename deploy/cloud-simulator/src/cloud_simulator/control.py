"""`/_sim`: the simulator's own interface, which no fault touches and no count includes."""

import json
from typing import Any

from pydantic import ValidationError
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from cloud_simulator import stats
from cloud_simulator.errors import Refusal
from cloud_simulator.simulator import Simulator


def control(simulator: Simulator) -> Starlette:
    """The application for the paths below `/_sim`."""

    async def get_stats(_: Request) -> Response:
        return JSONResponse(stats.report(simulator.stats, simulator.cloud))

    async def get_objects(_: Request) -> Response:
        return JSONResponse(_objects(simulator))

    async def get_behaviour(_: Request) -> Response:
        return JSONResponse(simulator.faults.behaviour.model_dump())

    async def put_behaviour(request: Request) -> Response:
        changes = await _json_object(request)
        if changes is None:
            return _problems({"body": "must be a JSON object"})
        try:
            simulator.faults.set(simulator.faults.behaviour.merged(changes))
        except ValidationError as error:
            return _problems({".".join(map(str, e["loc"])): e["msg"] for e in error.errors()})
        return await get_behaviour(request)

    async def reset(_: Request) -> Response:
        simulator.reset()
        return Response(status_code=204)

    async def authenticate(request: Request) -> Response:
        pair = await _json_object(request) or {}
        try:
            key = simulator.keyring.authenticate(str(pair.get("access_key")), str(pair.get("secret_key")))
        except Refusal as error:
            return JSONResponse({"message": error.message}, status_code=error.status)
        user = simulator.cloud.user(key.user_id)
        return JSONResponse({"user_id": user.id, "user_name": user.name, "project_id": key.project_id})

    return Starlette(
        routes=[
            Route("/_sim/stats", get_stats),
            Route("/_sim/objects", get_objects),
            Route("/_sim/behaviour", get_behaviour),
            Route("/_sim/behaviour", put_behaviour, methods=["PUT"]),
            Route("/_sim/reset", reset, methods=["POST"]),
            Route("/_sim/authenticate", authenticate, methods=["POST"]),
        ]
    )


def _objects(simulator: Simulator) -> dict[str, list[dict[str, Any]]]:
    cloud = simulator.cloud
    places = [
        ({"project_id": project_id, "user_id": user_id}, access)
        for project_id, users in cloud.access.items()
        for user_id, access in users.items()
    ]
    return {
        "accounts": [{"id": account.id, "name": account.name} for account in cloud.accounts.values()],
        "projects": [json.loads(p.document) | {"mark": p.mark} for ps in cloud.projects.values() for p in ps.values()],
        "users": [json.loads(u.document) for us in cloud.users.values() for u in us.values()],
        "grants": [place | {"role": access.role} for place, access in places if access.role],
        "policies": [place | {"policy": policy} for place, access in places for policy in sorted(access.policies)],
        "keys": [place | {"access_key": key} for place, access in places for key in access.keys],
    }


async def _json_object(request: Request) -> dict[str, Any] | None:
    try:
        value = await request.json()
    except ValueError:
        return None
    return value if isinstance(value, dict) else None


def _problems(problems: dict[str, str]) -> Response:
    return JSONResponse({"message": "Nothing was changed.", "problems": problems}, status_code=422)
