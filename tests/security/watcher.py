"""A client that keeps all that it was ever told, by HTTP and by WebSocket."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from typing import Any

import httpx
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from tests.security.ground import Ground

PATIENCE = 60.0
"""Seconds after which what never came is a failure."""


class Watcher:
    """Asks as an administrator. ``heard`` has each answer's status, headers and body, and each frame."""

    def __init__(self, http: httpx.AsyncClient, push_key: str) -> None:
        self.heard: list[bytes] = []
        self._http = http
        self._push_key = push_key

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request; its answer is kept, too."""
        answer = await self._http.request(method, path, **more)
        self.heard += [f"{method} {path} {answer.status_code} {dict(answer.headers)}".encode(), answer.content]
        return answer

    async def get(self, path: str) -> Any:
        """The body of an answer that has to be good."""
        answer = await self.ask("GET", path)
        assert answer.is_success, answer.text
        return answer.json()

    async def run(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """A command on one project; the status of its run's end."""
        answer = await self.ask(method, path, **more)
        assert answer.is_success, answer.text
        status: dict[str, Any] = await self.ended(answer.json()["data"]["identifier"])
        return status

    async def ended(self, identifier: str) -> Any:
        """The status of a project, as soon as its run is over."""
        async with asyncio.timeout(PATIENCE):
            while True:
                status = await self.get(f"/admin/v1/projects/{identifier}/status")
                if status["status"] in ("active", "failed", "suspended"):
                    return status
                await asyncio.sleep(0.1)

    @asynccontextmanager
    async def watching(self, identifiers: list[str]) -> AsyncIterator[None]:
        """Hears what a page that watches these projects would hear."""
        url = f"ws{str(self._http.base_url)[4:].rstrip('/')}/app/{self._push_key}?protocol=7"
        async with connect(url) as socket:
            greeting = json.loads(await socket.recv())
            for identifier in identifiers:
                await self._subscribe(socket, json.loads(greeting["data"])["socket_id"], identifier)
            listening = asyncio.create_task(self._listen(socket))
            yield
        await listening

    async def _subscribe(self, socket: ClientConnection, socket_id: str, identifier: str) -> None:
        channel = f"private-projects.{identifier}"
        fields = {"socket_id": socket_id, "channel_name": channel}
        signed = (await self.ask("POST", "/api/v1/broadcasting/auth", data=fields)).json()
        await socket.send(json.dumps({"event": "pusher:subscribe", "data": {**signed, "channel": channel}}))

    async def _listen(self, socket: ClientConnection) -> None:
        with suppress(ConnectionClosed):
            while True:
                frame = await socket.recv()
                self.heard.append(frame.encode() if isinstance(frame, str) else frame)


@asynccontextmanager
async def watcher(ground: Ground) -> AsyncIterator[Watcher]:
    """One of a kind for a test."""
    async with ground.client() as http:
        yield Watcher(http, ground.values["UCA_PUSH_KEY"])
