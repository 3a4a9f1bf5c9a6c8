"""For tests of push: replicas that listen, clients that speak the protocol, and the other side of project-api."""

import asyncio
import json
import random
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import httpx
from contracts.events import StatusChanged
from contracts.status import Kind, Picture, Status, StepStatus, opening_picture
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect

from project_api.app import create_app
from project_api.identifiers import new_identifier
from project_api.parts import Parts
from project_api.push.hub import Hub
from project_api.web.server import Server

Headers = dict[str, str]
Bearer = Callable[..., Headers]

PATIENCE = 10.0
"""Seconds after which what never came is a failure; nothing is waited for this long that comes."""

PORTS = range(20000, 32000)
"""Below those from which Linux takes outgoing connections'."""

REQUESTED = datetime(2026, 1, 1, 10, tzinfo=UTC)


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def picture(*steps: StepStatus, status: Status = Status.PROVISIONING) -> Picture:
    """A run's picture with these words for its steps."""
    opening = opening_picture(Kind.PROVISION, 2, REQUESTED)
    return opening.model_copy(
        update={
            "status": status,
            "steps": tuple(s.model_copy(update={"status": w}) for s, w in zip(opening.steps, steps, strict=True)),
            "completed_at": None if status is Status.PROVISIONING else REQUESTED,
        }
    )


N, P, C = StepStatus.NOT_STARTED, StepStatus.PENDING, StepStatus.COMPLETED
LINKING, SYNCING = picture(P, N, N), picture(C, P, N)
ACTIVE = picture(C, C, C, status=Status.ACTIVE)


class Stage:
    """The database as the other side of project-api fills it, and the news that it sends.

    ``projector`` is a connection with status-projector's rights.
    """

    def __init__(self, parts: Parts, projector: Any) -> None:
        self.parts = parts
        self._projector = projector

    async def project(self, *, tenant_id: int | None = 5, members: tuple[int, ...] = ()) -> str:
        """A new project, of which only the request is known; its identifier."""
        identifier = new_identifier()
        async with self.parts.database.transaction() as tx:
            await tx.driver.execute(
                "INSERT INTO projects (identifier, tenant_id, name, provider, region, created_by, command,"
                " participants, requested_at, deadline_at)"
                " VALUES ($1, $2, $1, 'zadara', 'region-1', 1,"
                " '{\"type\": \"ProjectCreated\"}', 2, $3, now() + interval '1 day')",
                identifier,
                tenant_id,
                REQUESTED,
            )
            for user_id in members:
                await tx.driver.execute(
                    "INSERT INTO participants (identifier, user_id, tenant_id, position, email, name, role, reasons)"
                    " VALUES ($1, $2, $3, 1, '', '', 'member', '{}')",
                    identifier,
                    user_id,
                    tenant_id,
                )
        return identifier

    async def change(self, statement: str, *values: object) -> None:
        """Changes one of project-api's own tables."""
        async with self.parts.database.transaction() as tx:
            await tx.driver.execute(statement, *values)

    async def show(self, identifier: str, version: int, shown: Picture, *, run: int = 1) -> None:
        """Puts a picture into the read model, and sends no news of it."""
        await self._projector.execute(
            "INSERT INTO status_projector.project_status AS s (identifier, tenant_id, run, version, status, kind,"
            " finished, picture) VALUES ($1, 5, $2, $3, $4, 'provision', $5, $6)"
            " ON CONFLICT (identifier) DO UPDATE SET run = $2, version = $3, status = $4, finished = $5, picture = $6",
            identifier, run, version, shown.status, shown.completed_at is not None, shown.model_dump_json(),
        )  # fmt: skip

    def tell(self, identifier: str, version: int, shown: Picture, *steps: str, run: int = 1) -> None:
        """Sends the news of a picture, as the broker's delivery would."""
        event = StatusChanged(
            identifier=identifier,
            run=run,
            read_version=version,
            tenant_id=5,
            picture=shown.model_dump_json(),
            steps=steps,
        )
        self.parts.changes.tell(event, datetime.now(UTC))


@dataclass(frozen=True)
class Replica:
    """One application that listens."""

    push: Hub
    address: str
    connections: set[Any]
    """Every connection that the listener still holds."""

    @property
    def http(self) -> httpx.AsyncClient:
        """Speaks with it otherwise."""
        return httpx.AsyncClient(base_url=f"http://{self.address}")


@asynccontextmanager
async def listening(parts: Parts, **policy: Any) -> AsyncIterator[Replica]:
    """A replica over these parts, with a policy that differs as given."""
    app: FastAPI = create_app(parts)
    push: Hub = app.state.push
    push.policy = push.policy._replace(**policy)
    push.registry.limits = push.policy.limits
    server = Server(app, parts.settings, asyncio.Event())
    server.config.port = next(port for port in random.sample(PORTS, 100) if _is_free(port))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        yield Replica(push, f"127.0.0.1:{server.config.port}", server.server_state.connections)
    finally:
        await server.shutdown()


class Client:
    """Speaks the protocol, and remembers what it was told."""

    def __init__(self, connection: ClientConnection, socket_id: str) -> None:
        self.connection = connection
        self.socket_id = socket_id

    async def hear(self) -> dict[str, Any]:
        """The next frame, with its data read."""
        async with asyncio.timeout(PATIENCE):
            frame: dict[str, Any] = json.loads(await self.connection.recv())
        if "data" in frame:
            frame["data"] = json.loads(frame["data"])
        return frame

    async def say(self, event: str, **data: Any) -> None:
        """Sends one frame."""
        await self.connection.send(json.dumps({"event": event, "data": data}))

    async def subscribe(self, at: Replica, identifier: str, headers: dict[str, str]) -> dict[str, Any]:
        """Asks ``at`` for the signature and this socket for the channel; the answer, good or bad."""
        channel = f"private-projects.{identifier}"
        async with at.http as http:
            fields = {"socket_id": self.socket_id, "channel_name": channel}
            signed = await http.post("/api/v1/broadcasting/auth", data=fields, headers=headers)
        assert signed.status_code == 200, signed.text  # noqa: S101 - a test's own
        await self.say("pusher:subscribe", auth=signed.json()["auth"], channel=channel)
        return await self.hear()

    async def hears_nothing_before_pong(self) -> bool:
        """Whether nothing was on its way: frames keep their order, so an answer to a ping comes after all of it."""
        await self.say("pusher:ping")
        frame = await self.hear()
        return bool(frame["event"] == "pusher:pong")

    async def goodbye(self) -> int:
        """The code that the server closes with."""
        async with asyncio.timeout(PATIENCE):
            await self.connection.wait_closed()
        assert self.connection.close_code is not None  # noqa: S101 - a test's own
        return self.connection.close_code


@asynccontextmanager
async def client(replica: Replica, key: str = "uca", **options: Any) -> AsyncIterator[Client]:
    """A client that has been greeted."""
    address = f"ws://{replica.address}/app/{key}?protocol=7&client=js&version=8.4.0"
    async with connect(address, **options) as connection:
        greeting = json.loads(await connection.recv())
        assert greeting["event"] == "pusher:connection_established"  # noqa: S101 - a test's own
        yield Client(connection, json.loads(greeting["data"])["socket_id"])


@asynccontextmanager
async def watching(replica: Replica, project: str, headers: dict[str, str], **options: Any) -> AsyncIterator[Client]:
    """A client that is subscribed to a project, and has heard its first step."""
    async with client(replica, **options) as watcher:
        await watcher.subscribe(replica, project, headers)
        await watcher.hear()
        yield watcher


def steps(frames: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    """Event, step and the step's word, of each frame."""
    return [(f["event"], f["data"]["step"]["id"], f["data"]["step"]["status"]) for f in frames]
