"""How many sockets there may be, and what is forgotten of them."""

import json
from contextlib import AsyncExitStack
from typing import Any

import pytest
from project_api.app import create_app
from project_api.parts import Parts
from project_api.push.hub import Hub
from project_api.push.news import UPDATED
from project_api.push.testing import SYNCING, Bearer, Replica, Stage, client, listening, watching
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed


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
    push: Hub = create_app(parts).state.push
    return push.policy.limits


async def test_after_unsubscribing_nothing_is_told(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """A channel that was left is silent, and forgotten when nobody watches it."""
    one, _ = replicas
    project = await stage.project()
    async with watching(one, project, bearer()) as watcher:
        await watcher.say("pusher:unsubscribe", channel=f"private-projects.{project}")
        assert await watcher.hears_nothing_before_pong()
        stage.tell(project, 9, SYNCING, "link")
        assert await watcher.hears_nothing_before_pong()
        assert project not in one.push.registry.channels
