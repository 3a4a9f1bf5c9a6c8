"""Where clients reach push: the socket, and the signature that they ask for before they subscribe to a channel."""

import json
from collections.abc import Mapping
from email.parser import BytesParser
from typing import Any
from urllib.parse import parse_qs

from backbone.runtime import Runtime
from fastapi import APIRouter, FastAPI, Request, Response
from starlette.routing import WebSocketRoute

from project_api.parts import CallerDep, Parts
from project_api.push import grants, protocol
from project_api.push.hub import Hub, Policy
from project_api.push.registry import Limits
from project_api.settings import Settings
from project_api.web.errors import forbidden

router = APIRouter(tags=["push"])

FIELDS = {
    "type": "object",
    "required": ["socket_id", "channel_name"],
    "properties": {
        "socket_id": {"type": "string", "pattern": "^[0-9]{1,10}\\.[0-9]{1,10}$", "example": "123.456"},
        "channel_name": {"type": "string", "example": "private-projects.F81401"},
    },
}
KINDS = ("application/x-www-form-urlencoded", "multipart/form-data", "application/json")
CONTENT = {kind: {"schema": FIELDS} for kind in KINDS}
ANSWER = {"type": "object", "required": ["auth"], "properties": {"auth": {"type": "string"}}}
RESPONSES: Mapping[int | str, dict[str, Any]] = {
    200: {"description": "The signature", "content": {"application/json": {"schema": ANSWER}}},
    403: {"description": "Not signed in, no such channel, or a project that the caller may not read"},
}


async def sign(request: Request, caller: CallerDep) -> Response:
    """A signature for one socket and one project's channel, where the caller may read the project."""
    fields = _fields(await request.body(), request.headers.get("content-type", ""))
    socket_id, channel = fields.get("socket_id"), fields.get("channel_name")
    identifier = protocol.identifier_of(channel) if isinstance(channel, str) else None
    if not isinstance(socket_id, str) or not protocol.is_socket_id(socket_id) or identifier is None:
        raise forbidden("Send socket_id and channel_name; a channel is private-projects.{identifier}.")
    if not await grants.give(caller, socket_id, identifier):
        raise forbidden("You may not watch this project.")
    settings = caller.parts.settings
    auth = protocol.sign(settings.push_key, settings.push_secret.get_secret_value(), socket_id, f"{channel}")
    return Response(json.dumps({"auth": auth}), media_type="application/json")


def _fields(body: bytes, content_type: str) -> Mapping[str, Any]:
    """What the client sent, as a form or as JSON; nothing where it is neither."""
    try:
        if content_type.startswith("application/json"):
            content = json.loads(body)
            return content if isinstance(content, dict) else {}
        if content_type.startswith("multipart/form-data"):
            return _parts_of(body, content_type)
        return {name: values[0] for name, values in parse_qs(body.decode(), max_num_fields=20).items()}
    except (ValueError, RecursionError):
        return {}


def _parts_of(body: bytes, content_type: str) -> Mapping[str, Any]:
    """The fields of a form that was sent as MIME parts. Raises ValueError for one that is not text."""
    message = BytesParser().parsebytes(b"Content-Type: " + content_type.encode("latin-1") + b"\r\n\r\n" + body)
    found: dict[str, Any] = {}
    for part in message.walk():
        content = part.get_payload(decode=True)
        if isinstance(content, bytes):
            found[str(part.get_param("name", header="content-disposition"))] = content.decode()
    return found


for _path in ("/api/v1/broadcasting/auth", "/broadcasting/auth"):
    router.post(
        _path, responses=dict(RESPONSES), openapi_extra={"requestBody": {"required": True, "content": CONTENT}}
    )(sign)


def install(app: FastAPI, parts: Parts) -> None:
    """Adds push to the application, as ``app.state.push``."""
    push = app.state.push = Hub(parts.database, _policy(parts.settings))
    parts.changes.listen(push.changed, push.reconnected)
    app.include_router(router)
    app.router.routes.append(WebSocketRoute("/app/{key}", push.serve))


def start(runtime: Runtime, push: Hub) -> None:
    """Starts what push does by the clock."""
    runtime.background("push-attend", push.attend, every=1)
    runtime.background("push-look-again", push.look_again, every=10)
    runtime.background("push-forget-grants", lambda: grants.forget(runtime.database), every=60)


def _policy(settings: Settings) -> Policy:
    return Policy(
        key=settings.push_key,
        secret=settings.push_secret.get_secret_value(),
        origins=(*settings.push_app_origins, *settings.cors_origins),
        limits=Limits(
            total=settings.push_sockets,
            per_address=settings.push_sockets_per_address,
            per_user=settings.push_sockets_per_user,
            channels=settings.push_channels_per_socket,
        ),
        buffer_bytes=settings.push_buffer_bytes,
        idle_seconds=settings.push_idle_seconds,
    )
