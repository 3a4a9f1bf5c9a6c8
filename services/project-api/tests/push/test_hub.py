"""Push over real sockets: two replicas on the real database, and clients that are told the news."""

import json

import pytest
from project_api.parts import Parts
from project_api.push.news import COMPLETED, UPDATED
from project_api.push.testing import (
    ACTIVE,
    LINKING,
    SYNCING,
    Bearer,
    Replica,
    Stage,
    client,
    listening,
    steps,
    watching,
)
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus


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
    async with watching(one, project, bearer()) as watcher:
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
    async with watching(one, project, bearer()) as watcher:
        await stage.change("UPDATE projects SET run = 2 WHERE identifier = $1", project)
        await one.push.look_again()
        frame = await watcher.hear()
        assert (frame["data"]["run"], frame["data"]["version"]) == (2, 0)
        # This run was asked for long ago, so its step is overdue, which is told once.
        assert (await watcher.hear())["data"]["overdue"]["step"] == "link"
        await one.push.look_again()
        assert await watcher.hears_nothing_before_pong()


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
