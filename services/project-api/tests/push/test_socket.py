"""Sockets that are silent, unused, or too slow."""

import asyncio

import pytest
from project_api.parts import Parts
from project_api.push import protocol, transport
from project_api.push.testing import LINKING, PATIENCE, Bearer, Stage, client, listening, watching


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
    monkeypatch.setattr(transport, "CUT_OFF_SECONDS", 0.1)
    async with listening(parts) as replica:
        project = await stage.project()
        async with (
            watching(replica, project, bearer()) as reads,
            watching(replica, project, bearer(), max_queue=1) as stalls,
        ):
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
