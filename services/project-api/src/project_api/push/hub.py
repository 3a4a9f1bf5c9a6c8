"""Live push: the sockets of this replica, from the greeting to the goodbye, and the news that they are told."""

import asyncio
import time
from collections.abc import Coroutine, Iterable
from datetime import datetime
from typing import Any, NamedTuple

import structlog
from backbone.away import DatabaseUnavailable
from backbone.database import Database
from contracts.events import StatusChanged
from contracts.status import Picture
from starlette.websockets import WebSocket

from project_api.push import grants, protocol
from project_api.push.grants import Watcher
from project_api.push.news import View
from project_api.push.protocol import Code, Ping, Pong, Refused, Subscribe, Unsubscribe
from project_api.push.registry import Channel, Limits, Registry
from project_api.push.socket import DROPPED, Socket

log = structlog.get_logger()


class Policy(NamedTuple):
    """What a deployment decides of push. ``origins`` are let in beside our own; sizes are bytes."""

    key: str
    secret: str
    origins: tuple[str, ...]
    limits: Limits
    buffer_bytes: int
    idle_seconds: float


class Hub:
    """Serves sockets; every replica has one, and none needs to know of the others."""

    def __init__(self, database: Database, policy: Policy) -> None:
        self.policy = policy
        self.registry = Registry(policy.limits)
        self._database = database
        self._tasks: set[asyncio.Task[None]] = set()

    async def serve(self, websocket: WebSocket) -> None:
        """One socket's life; it ends when the client leaves or has been told to."""
        if not self._is_welcome(websocket):
            DROPPED.labels("origin").inc()
            await websocket.close()
            return
        await websocket.accept()
        socket = Socket(websocket, buffer_bytes=self.policy.buffer_bytes)
        try:
            async with socket.lifetime:
                self._greet(socket, websocket.path_params["key"])
                while (message := await websocket.receive())["type"] == "websocket.receive":
                    await self._hear(socket, message.get("text") or "")
        except TimeoutError:
            log.debug("push.cut_off", socket=socket.id)
        finally:
            self.registry.close(socket)
            socket.close()

    def _is_welcome(self, websocket: WebSocket) -> bool:
        """Programs send no Origin; a page's must be ours or a listed one, for browsers would send our cookie along."""
        origin = websocket.headers.get("origin")
        if origin is None:
            return True
        own = protocol.is_own_origin(origin, websocket.headers.get("host", ""))
        return own or origin.lower() in self.policy.origins

    def _greet(self, socket: Socket, key: str) -> None:
        if key != self.policy.key:
            socket.refuse(Code.UNKNOWN_KEY, "There is no application with this key.")
        elif reason := self.registry.open(socket):
            socket.refuse(Code.OVER_CAPACITY, reason)
        else:
            socket.answer(protocol.established(socket.id))

    async def _hear(self, socket: Socket, text: str) -> None:
        if not socket.hears():
            return
        match protocol.parse(text):
            case Ping():
                socket.answer(protocol.PONG)
            case Subscribe(channel, auth):
                await self._subscribe(socket, channel, auth)
            case Unsubscribe(channel):
                self.registry.leave(socket, channel)
            case Refused(code, message):
                socket.answer(protocol.error(code, message))
            case Pong():
                pass

    async def _subscribe(self, socket: Socket, name: str, auth: str) -> None:
        identifier = protocol.identifier_of(name)
        if identifier is None or not protocol.is_signed(auth, self.policy.key, self.policy.secret, socket.id, name):
            socket.answer(protocol.error(Code.UNAUTHORIZED, "The signature is not this channel's."))
        elif len(socket.watching) >= self.policy.limits.channels:
            socket.answer(protocol.error(Code.UNAUTHORIZED, "One socket cannot watch more projects."))
        else:
            with self.registry.joining(identifier) as channel:
                await self._join(socket, channel)

    async def _join(self, socket: Socket, channel: Channel) -> None:
        try:
            claim = await grants.claim(self._database, socket.id, channel.identifier)
            if claim and channel.view and claim.view.run < channel.view.run:
                # A run was asked for meanwhile, which may have been to take this member out.
                claim = await grants.claim(self._database, socket.id, channel.identifier)
            elif claim and channel.view and claim.view.run > channel.view.run:
                await self._expel_outsiders([channel])  # who joins brings the others the news of the run
                claim = await grants.claim(self._database, socket.id, channel.identifier)  # as above
        except DatabaseUnavailable:
            socket.end(Code.UNAVAILABLE, "The project cannot be read right now.")
            return
        if claim is None or claim.principal.expires_at <= time.time():
            socket.answer(protocol.error(Code.UNAUTHORIZED, "You may not watch this project."))
        else:
            self.registry.join(socket, channel, claim.principal, claim.view)

    def changed(self, event: StatusChanged, committed_at: datetime) -> None:
        """Tells a project's watchers here that its status moved."""
        channel = self.registry.channels.get(event.identifier)
        if channel is None:
            return
        picture = Picture.model_validate_json(event.picture)
        view = View(event.identifier, event.run, event.read_version, picture)
        if channel.view is None or view.run == channel.view.run:
            self.registry.tell(view, event.steps, committed_at)
        else:
            self._start(self._tell_of_new_run(channel, view, event.steps, committed_at))

    async def _tell_of_new_run(
        self, channel: Channel, view: View, moved: tuple[str, ...], committed_at: datetime
    ) -> None:
        """The new run may have been to take a member out, so all are asked for before they are told."""
        try:
            await self._expel_outsiders([channel])
        except DatabaseUnavailable:
            for socket in list(channel.sockets):
                socket.end(Code.UNAVAILABLE, "Whether you may watch this project cannot be read right now.")
        self.registry.tell(view, moved, committed_at)

    def reconnected(self) -> None:
        """News may have been lost while the broker was away: everybody is told the current picture."""
        self._start(self._tell_current())

    async def _tell_current(self) -> None:
        await self._database.wait_until_available()
        views = await grants.newer(self._database, dict.fromkeys(self.registry.channels, (0, -1)))
        await self._expel_outsiders(list(self.registry.channels.values()))  # by what is so after that reading
        for view in views:
            self.registry.tell(view, known_too=True)
            await asyncio.sleep(0)  # one who watches many projects is sent each before the next comes

    async def attend(self) -> None:
        """Pings whom it is time to ping, and lets go whom it is time to let go; to be called every second or two."""
        now = time.monotonic()
        for socket in list(self.registry.sockets.values()):
            socket.attend(now, self.policy.idle_seconds)

    async def look_again(self) -> None:
        """Ends what may not be watched any more, and tells what no news comes of; to be called every few seconds."""
        channels = list(self.registry.channels.values())
        known = {channel.identifier: channel.view.position for channel in channels if channel.view}
        views = await grants.newer(self._database, known) if known else []
        await self._expel_outsiders(channels)  # as above
        for view in views:
            self.registry.tell(view)
            await asyncio.sleep(0)  # as above
        self.registry.remind()

    async def _expel_outsiders(self, channels: Iterable[Channel]) -> None:
        watching = [
            (socket, channel, Watcher(channel.identifier, socket.watching[channel.name]))
            for channel in channels
            for socket in channel.sockets
        ]
        if not watching:
            return
        allowed = await grants.still_allowed(self._database, list({watcher for _, _, watcher in watching}))
        for socket, channel, watcher in watching:
            if watcher not in allowed:
                self.registry.expel(socket, channel.name)

    def _start(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)

    def _finished(self, task: "asyncio.Task[None]") -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("push.failed", exc_info=error)
