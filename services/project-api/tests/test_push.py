"""Push over real sockets: two replicas of the real application on the real database, and clients that speak to them."""

import asyncio
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import asyncpg
import httpx
import pytest
from contracts.events import StatusChanged
from contracts.status import Kind, Picture, Status, StepStatus, opening_picture
from fastapi import FastAPI
from local import ports
from project_api import push_protocol as protocol
from project_api import push_transport
from project_api.app import create_app
from project_api.parts import Parts
from project_api.push import Push
from project_api.push_news import COMPLETED, UPDATED
from project_api.server import Server
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

Bearer = Callable[..., dict[str, str]]

PATIENCE = 10.0
"""Seconds after which what never came is a failure; nothing is waited for this long that comes."""

REQUESTED = datetime(2026, 1, 1, 10, tzinfo=UTC)


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
    """The database as the other side of project-api fills it, and the news that it sends."""

    def __init__(self, parts: Parts, projector: "asyncpg.Connection[asyncpg.Record]") -> None:
        self.parts = parts
        self._projector = projector

    async def project(self, *, tenant_id: int | None = 5, members: tuple[int, ...] = ()) -> str:
        """A new project, of which only the request is known; its identifier."""
        identifier = f"F{random.randrange(10**9)}"
        async with self.parts.database.transaction() as tx:
            await tx.connection.exec_driver_sql(
                "INSERT INTO projects (identifier, tenant_id, name, provider, region, created_by, command,"
                " participants, requested_at, deadline_at)"
                " VALUES ($1, $2, $1, 'zadara', 'region-1', 1,"
                " '{\"type\": \"ProjectCreated\"}', 2, $3, now() + interval '1 day')",
                (identifier, tenant_id, REQUESTED),
            )
            for user_id in members:
                await tx.connection.exec_driver_sql(
                    "INSERT INTO participants (identifier, user_id, tenant_id, position, email, name, role, reasons)"
                    " VALUES ($1, $2, $3, 1, '', '', 'member', '{}')",
                    (identifier, user_id, tenant_id),
                )
        return identifier

    async def change(self, statement: str, *values: object) -> None:
        """Changes one of project-api's own tables."""
        async with self.parts.database.transaction() as tx:
            await tx.connection.exec_driver_sql(statement, values)

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


@pytest.fixture(scope="module")
async def stage(parts: Parts, urls: Any) -> AsyncIterator[Stage]:
    """Writes as project-api and as status-projector."""
    projector = await asyncpg.connect(urls.owner)
    try:
        await projector.execute("GRANT uca_status_projector TO CURRENT_USER")
        await projector.execute("GRANT USAGE ON SCHEMA status_projector TO uca_status_projector")
        await projector.execute("GRANT ALL ON status_projector.project_status TO uca_status_projector")
        await projector.execute("SET ROLE uca_status_projector")
        yield Stage(parts, projector)
    finally:
        await projector.close()


@dataclass(frozen=True)
class Replica:
    """One application that listens."""

    push: Push
    address: str
    connections: set[Any]
    """Every connection that the listener still holds."""

    @property
    def http(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=f"http://{self.address}")


@asynccontextmanager
async def listening(parts: Parts, **policy: Any) -> AsyncIterator[Replica]:
    """A replica over these parts, with a policy that differs as given."""
    app: FastAPI = create_app(parts)
    push: Push = app.state.push
    push.policy = push.policy._replace(**policy)
    push.registry.limits = push.policy.limits
    server = Server(app, parts.settings, asyncio.Event())
    server.config.port = next(p for p in random.sample(range(ports.FIRST, ports.LAST), 100) if ports.is_free(p))
    server.config.load()
    server.lifespan = server.config.lifespan_class(server.config)
    await server.startup()
    try:
        yield Replica(push, f"127.0.0.1:{server.config.port}", server.server_state.connections)
    finally:
        await server.shutdown()


@pytest.fixture(scope="module")
async def replicas(parts: Parts) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas that know nothing of each other."""
    async with listening(parts) as one, listening(parts) as other:
        yield one, other


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
        await self.connection.send(json.dumps({"event": event, "data": data}))

    async def subscribe(self, at: Replica, identifier: str, headers: dict[str, str]) -> dict[str, Any]:
        """Asks ``at`` for the signature and this socket for the channel; the answer, good or bad."""
        channel = f"private-projects.{identifier}"
        async with at.http as http:
            fields = {"socket_id": self.socket_id, "channel_name": channel}
            signed = await http.post("/api/v1/broadcasting/auth", data=fields, headers=headers)
        assert signed.status_code == 200, signed.text
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
        assert self.connection.close_code is not None
        return self.connection.close_code


@asynccontextmanager
async def client(replica: Replica, key: str = "uca", **options: Any) -> AsyncIterator[Client]:
    """A client that has been greeted."""
    address = f"ws://{replica.address}/app/{key}?protocol=7&client=js&version=8.4.0"
    async with connect(address, **options) as connection:
        greeting = json.loads(await connection.recv())
        assert greeting["event"] == "pusher:connection_established"
        data = json.loads(greeting["data"])
        assert data["activity_timeout"] == 30
        yield Client(connection, data["socket_id"])


def steps(frames: list[dict[str, Any]]) -> list[tuple[str, str, str]]:
    return [(f["event"], f["data"]["step"]["id"], f["data"]["step"]["status"]) for f in frames]


async def test_signature_at_one_replica_and_socket_at_another(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """A socket subscribes with another replica's signature, is told the picture, each step, the end and a step more."""
    one, other = replicas
    project = await stage.project()
    await stage.show(project, 2, LINKING)
    async with client(other) as watcher:
        answer = await watcher.subscribe(one, project, bearer())
        channel = f"private-projects.{project}"
        assert answer == {"event": "pusher_internal:subscription_succeeded", "channel": channel, "data": {}}
        assert steps([await watcher.hear()]) == [(UPDATED, "link", "pending")]
        stage.tell(project, 3, SYNCING, "link", "users")
        stage.tell(project, 5, ACTIVE, "users", "active")
        frames = [await watcher.hear() for _ in range(6)]
        assert steps(frames) == [
            (UPDATED, "link", "completed"),
            (UPDATED, "users", "pending"),
            (UPDATED, "users", "completed"),
            (UPDATED, "active", "completed"),
            (COMPLETED, "active", "completed"),
            (UPDATED, "active", "completed"),
        ]
        assert [frame["data"]["version"] for frame in frames] == [3, 3, 5, 5, 5, 5]
        assert {frame["channel"] for frame in frames} == {channel}
        assert await watcher.hears_nothing_before_pong()


async def test_news_is_told_once_and_never_backwards(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """News that comes twice or late is not told, and what it would have said is told with the newer."""
    one, _ = replicas
    project = await stage.project()
    async with client(one) as watcher:
        await watcher.subscribe(one, project, bearer())
        assert steps([await watcher.hear()]) == [(UPDATED, "link", "pending")]
        stage.tell(project, 4, SYNCING, "users")
        stage.tell(project, 3, LINKING, "link")
        stage.tell(project, 4, SYNCING, "users")
        assert steps([await watcher.hear(), await watcher.hear()]) == [
            (UPDATED, "link", "completed"),
            (UPDATED, "users", "pending"),
        ]
        assert await watcher.hears_nothing_before_pong()


async def test_news_during_the_subscription_is_not_missed(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """Whatever comes between the read of the picture and the subscription is in what the newcomer is told."""
    one, _ = replicas
    project = await stage.project()
    with one.push.registry.joining(project):
        stage.tell(project, 7, SYNCING, "link", "users")
        async with client(one) as watcher:
            await watcher.subscribe(one, project, bearer())
            frames = [await watcher.hear(), await watcher.hear()]
            assert steps(frames) == [(UPDATED, "link", "completed"), (UPDATED, "users", "pending")]
            assert {frame["data"]["version"] for frame in frames} == {7}


async def test_the_current_picture_is_told_after_the_broker_came_back(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """What happened while no news could arrive is told when it can again, and what is known already is told again."""
    one, _ = replicas
    project = await stage.project()
    async with client(one) as watcher:
        await watcher.subscribe(one, project, bearer())
        await watcher.hear()
        await stage.show(project, 5, ACTIVE)
        one.push.reconnected()
        assert [event for event, _, _ in steps([await watcher.hear() for _ in range(5)])] == [
            *[UPDATED] * 3,
            COMPLETED,
            UPDATED,
        ]
        one.push.reconnected()
        frames = [await watcher.hear() for _ in range(3)]
        assert steps(frames) == [(UPDATED, step, "completed") for step in ("link", "users", "active")]


async def test_what_no_news_came_of_is_found(stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer) -> None:
    """A run that was asked for at another replica, and news that were lost, are told at the next look."""
    one, _ = replicas
    project = await stage.project()
    async with client(one) as watcher:
        await watcher.subscribe(one, project, bearer())
        await watcher.hear()
        await stage.change("UPDATE projects SET run = 2 WHERE identifier = $1", project)
        await one.push.look_again()
        frame = await watcher.hear()
        assert (frame["data"]["run"], frame["data"]["version"]) == (2, 0)
        # This run was asked for long ago, so its step is overdue, which is told once.
        assert (await watcher.hear())["data"]["overdue"]["step"] == "link"
        await one.push.look_again()
        assert await watcher.hears_nothing_before_pong()


async def test_nobody_hears_of_another_tenants_project(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """Another tenant's people get no signature, no subscription with a borrowed one, and not one frame."""
    one, _ = replicas
    project = await stage.project(tenant_id=5)
    stranger = bearer(role="tenant_admin", user_id=70, tenant_id=6)
    async with client(one) as owner, client(one) as other, one.http as http:
        channel = f"private-projects.{project}"
        fields = {"socket_id": other.socket_id, "channel_name": channel}
        refused = await http.post("/broadcasting/auth", data=fields, headers=stranger)
        assert (refused.status_code, refused.json()["success"]) == (403, False)
        await owner.subscribe(one, project, bearer(role="tenant_admin", user_id=50, tenant_id=5))
        fields["socket_id"] = owner.socket_id
        borrowed = await http.post("/broadcasting/auth", data=fields, headers=bearer())
        await other.say("pusher:subscribe", auth=borrowed.json()["auth"], channel=channel)
        assert (await other.hear())["data"]["code"] == 4009
        policy = one.push.policy
        forged = protocol.sign(policy.key, policy.secret, other.socket_id, channel)
        await other.say("pusher:subscribe", auth=forged, channel=channel)
        assert (await other.hear())["data"]["code"] == 4009
        stage.tell(project, 3, SYNCING, "link")
        assert (await owner.hear())["event"] == UPDATED
        assert await other.hears_nothing_before_pong()


@pytest.mark.parametrize("path", ["/api/v1/broadcasting/auth", "/broadcasting/auth"])
async def test_the_signature_is_answered_exactly(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer, path: str
) -> None:
    """With the cookie alone, and without a CSRF header, the answer is {"auth": …} and no more; else it is a 403."""
    one, _ = replicas
    project = await stage.project()
    channel = f"private-projects.{project}"
    fields = {"socket_id": "123.456", "channel_name": channel}
    async with one.http as http:
        cookie = {"Cookie": f"uca_token={bearer()['Authorization'].removeprefix('Bearer ')}"}
        good = await http.post(path, data=fields, headers=cookie)
        policy = one.push.policy
        assert good.status_code == 200
        assert good.json() == {"auth": protocol.sign(policy.key, policy.secret, "123.456", channel)}
        for headers, sent in (
            ({}, fields),
            ({"Authorization": "Bearer nonsense"}, fields),
            (bearer(), {**fields, "socket_id": "123.456:private-projects.other"}),
            (bearer(), {**fields, "channel_name": "presence-x"}),
            (bearer(), {**fields, "channel_name": "private-projects.F0"}),
            (bearer(), {}),
        ):
            bad = await http.post(path, data=sent, headers=headers)
            assert bad.status_code == 403, (headers, sent)
            assert bad.json()["success"] is False
            assert bad.json()["message"]


async def test_a_member_who_is_taken_out_hears_no_more(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """The first news of the run that took a member out ends their channel instead of being told; others go on."""
    one, _ = replicas
    project = await stage.project(members=(81, 82))
    member, gone = (bearer(role="member", user_id=user, tenant_id=5) for user in (81, 82))
    async with client(one) as stays, client(one) as leaves:
        for watcher, headers in ((stays, member), (leaves, gone)):
            await watcher.subscribe(one, project, headers)
            await watcher.hear()
        await stage.change("DELETE FROM participants WHERE identifier = $1 AND user_id = 82", project)
        await stage.change("UPDATE projects SET run = 2 WHERE identifier = $1", project)
        stage.tell(project, 2, SYNCING, "link", run=2)
        assert (await stays.hear())["data"]["run"] == 2
        ended = await leaves.hear()
        assert (ended["event"], ended["data"]["code"]) == ("pusher:error", 4009)
        assert ended["channel"] == f"private-projects.{project}"
        assert await leaves.hears_nothing_before_pong()
        async with one.http as http:
            fields = {"socket_id": leaves.socket_id, "channel_name": ended["channel"]}
            assert (await http.post("/broadcasting/auth", data=fields, headers=gone)).status_code == 403


async def test_a_refused_token_ends_its_channels(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """A user who was removed or changed is found at the next look, whatever projects they watch."""
    one, _ = replicas
    project = await stage.project()
    async with client(one) as watcher:
        await watcher.subscribe(one, project, bearer(user_id=90))
        await watcher.hear()
        await stage.change("INSERT INTO refused_tokens (user_id, issued_before) VALUES (90, 'infinity')")
        await one.push.look_again()
        assert (await watcher.hear())["data"]["code"] == 4009


async def test_the_socket_ends_with_its_token(stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer) -> None:
    """A socket whose token has ended is closed with a code on which clients come back, and ask anew."""
    one, _ = replicas
    project = await stage.project()
    async with client(one) as watcher:
        await watcher.subscribe(one, project, bearer())
        socket = one.push.registry.sockets[watcher.socket_id]
        ((name, principal),) = socket.watching.items()
        socket.watching[name] = type(principal)(1, "admin", None, "", expires_at=1.0)
        await one.push.attend()
        assert 4100 <= await watcher.goodbye() < 4200


async def test_errors_leave_the_socket_open(replicas: tuple[Replica, Replica]) -> None:
    """Bad messages, client events and bad signatures are told, and the socket goes on."""
    one, _ = replicas
    async with client(one) as watcher:
        for said, code in (
            ("nonsense", 4200),
            (b"\x00binary", 4200),
            (json.dumps({"event": "client-hello", "data": {}}), 4009),
            (
                json.dumps({"event": "pusher:subscribe", "data": {"channel": "private-projects.F1", "auth": "uca:0"}}),
                4009,
            ),
        ):
            await watcher.connection.send(said)
            frame = await watcher.hear()
            assert (frame["event"], frame["data"]["code"]) == ("pusher:error", code)
        assert await watcher.hears_nothing_before_pong()


async def test_an_unknown_key_is_told_and_closed(replicas: tuple[Replica, Replica]) -> None:
    """4001 comes as an error and as the close code, which makes clients give up."""
    one, _ = replicas
    async with connect(f"ws://{one.address}/app/wrong?protocol=7") as connection:
        frame = json.loads(await connection.recv())
        assert frame["event"] == "pusher:error"
        assert json.loads(frame["data"])["code"] == 4001
        with pytest.raises(ConnectionClosed) as closed:
            await connection.recv()
        assert closed.value.rcvd is not None
        assert closed.value.rcvd.code == 4001


async def test_only_our_own_pages_may_connect(parts: Parts) -> None:
    """A page of another origin is refused; our own, a listed one and a program without an origin are let in."""
    async with listening(parts, origins=("https://portal.example",)) as replica:
        for origin in (None, f"http://{replica.address}", "https://portal.example"):
            async with client(replica, origin=origin):
                pass
        for origin in ("https://evil.example", "null", f"http://{replica.address}.evil.example"):
            with pytest.raises(InvalidStatus) as refused:
                async with client(replica, origin=origin):
                    pass
            assert refused.value.response.status_code == 403


async def test_after_unsubscribing_nothing_is_told(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """A channel that was left is silent, and forgotten when nobody watches it."""
    one, _ = replicas
    project = await stage.project()
    async with client(one) as watcher:
        await watcher.subscribe(one, project, bearer())
        await watcher.hear()
        await watcher.say("pusher:unsubscribe", channel=f"private-projects.{project}")
        assert await watcher.hears_nothing_before_pong()
        stage.tell(project, 9, SYNCING, "link")
        assert await watcher.hears_nothing_before_pong()
        assert project not in one.push.registry.channels


async def test_limits_by_number(stage: Stage, parts: Parts, bearer: Bearer) -> None:
    """An address has as many sockets as it may; a user's oldest socket makes room for the newest."""
    limits = (await _limits(parts))._replace(per_address=3, per_user=2)
    project = await stage.project()
    async with listening(parts, limits=limits) as replica, AsyncExitStack() as stack:
        first, second, third = [await stack.enter_async_context(client(replica)) for _ in range(3)]
        async with connect(f"ws://{replica.address}/app/uca") as fourth:
            assert json.loads(await fourth.recv())["event"] == "pusher:error"
            with pytest.raises(ConnectionClosed) as closed:
                await fourth.recv()
            assert closed.value.rcvd is not None
            assert 4100 <= closed.value.rcvd.code < 4200
        for watcher in (first, second, third):
            await watcher.subscribe(replica, project, bearer())
        assert await first.goodbye() == 4004
        assert (await second.hear())["event"] == UPDATED


async def _limits(parts: Parts) -> Any:
    push: Push = create_app(parts).state.push
    return push.policy.limits


async def test_sockets_that_are_silent_or_watch_nothing_are_let_go(parts: Parts) -> None:
    """Silence is answered with a ping, then with a goodbye; a socket that never watches anything is let go for good."""
    async with listening(parts, idle_seconds=3600.0) as replica:
        async with client(replica) as quiet:
            socket = replica.push.registry.sockets[quiet.socket_id]
            socket.heard_at -= protocol.ACTIVITY_SECONDS + 1
            await replica.push.attend()
            assert (await quiet.hear())["event"] == "pusher:ping"
            assert socket.pinged_at is not None
            await quiet.say("pusher:pong")
            assert await quiet.hears_nothing_before_pong()
            assert socket.pinged_at is None
            socket.heard_at -= protocol.ACTIVITY_SECONDS + 1
            await replica.push.attend()
            assert socket.pinged_at is not None
            socket.pinged_at -= protocol.PONG_SECONDS + 1
            await replica.push.attend()
            assert await quiet.goodbye() == 4201
        async with client(replica) as unused:
            replica.push.registry.sockets[unused.socket_id].unused_since -= 3601
            await replica.push.attend()
            assert await unused.goodbye() == 4010


async def test_a_client_that_does_not_read_is_cut_off(
    stage: Stage, parts: Parts, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full buffer ends the slow client's socket, and its connection with it; others are told everything."""
    monkeypatch.setattr(push_transport, "CUT_OFF_SECONDS", 0.1)
    async with listening(parts) as replica:
        project = await stage.project()
        async with client(replica) as reads, client(replica, max_queue=1) as stalls:
            for watcher in (reads, stalls):
                await watcher.subscribe(replica, project, bearer())
                await watcher.hear()
            stalls.connection.transport.pause_reading()
            socket = replica.push.registry.sockets[stalls.socket_id]
            version = 1
            while stalls.socket_id in replica.push.registry.sockets:
                version += 1
                assert version < 100_000
                shown = LINKING.model_copy(update={"error": "x" * 10_000})
                stage.tell(project, version, shown, "link")
                assert (await reads.hear())["data"]["version"] == version
            assert socket.is_ending
            assert await reads.hears_nothing_before_pong()
            async with asyncio.timeout(PATIENCE):
                while len(replica.connections) > 1:  # noqa: ASYNC110 - uvicorn has no event for it
                    await asyncio.sleep(0.02)
            stalls.connection.transport.abort()
