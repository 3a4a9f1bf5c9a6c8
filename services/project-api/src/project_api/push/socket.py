"""One client's socket: what it watches, when it was heard, and what may wait for it, which is bounded."""

import asyncio
import time

from prometheus_client import Counter, Histogram
from starlette.websockets import WebSocket, WebSocketDisconnect

from project_api.auth.tokens import Principal
from project_api.push import protocol
from project_api.push.protocol import Code
from project_api.push.transport import encode, sender_of

FRAMES = Counter("uca_push_frames_total", "Frames sent to clients", ("event",))
DROPPED = Counter("uca_push_dropped_total", "Sockets that were ended by us", ("reason",))
DELAY = Histogram(
    "uca_push_delay_seconds",
    "From the commit of a change to its frames on their way to one client",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

CLOSE_SECONDS = 2.0
"""How long a client has to take our goodbye before it is cut off."""

FLOOD_SECONDS, FLOOD_MESSAGES = 10.0, 1000
"""A page subscribes to some hundred projects at once when it comes back; more than this is no page."""


class Socket:
    """A client's connection. Nothing here waits for the client."""

    def __init__(self, websocket: WebSocket, *, buffer_bytes: int) -> None:
        self.id = protocol.new_socket_id()
        self.address = websocket.client.host if websocket.client else ""
        self.watching: dict[str, Principal] = {}
        """By channel, the one who was let in."""
        self.users: set[int] = set()
        self.lifetime = asyncio.timeout(None)
        """Whoever serves the socket does so in here; it is what cuts a client off."""
        self.heard_at = self.unused_since = time.monotonic()
        self.pinged_at: float | None = None
        self._counted_since = self.heard_at
        self._messages = 0
        self._websocket = websocket
        self._sender = sender_of(websocket.scope)
        self._buffer_bytes = buffer_bytes
        self._goodbye: asyncio.Task[None] | None = None

    @property
    def is_ending(self) -> bool:
        """Its goodbye is said, or about to be."""
        return self._goodbye is not None

    def hears(self) -> bool:
        """The client said something: whether it is to be answered. One that talks without end is let go."""
        now = time.monotonic()
        self.heard_at, self.pinged_at = now, None
        if now - self._counted_since > FLOOD_SECONDS:
            self._counted_since, self._messages = now, 0
        self._messages += 1
        if self._messages > FLOOD_MESSAGES:
            self.end(Code.OVER_CAPACITY, "Too many messages.")
        return not self.is_ending

    def answer(self, frame: str) -> None:
        """Sends one frame of the protocol to this client alone."""
        FRAMES.labels("protocol").inc()
        self.send(encode(frame))

    def send(self, frames: bytes) -> None:
        """Sends what is encoded already; a client that has not taken enough of what was sent before is let go."""
        if self.is_ending:
            return
        if self._sender.waiting() > self._buffer_bytes:
            self.end(Code.TOO_SLOW, "Too slow: too much was waiting.")
        else:
            self._sender.write(frames)

    def refuse(self, code: Code, message: str) -> None:
        """Says why, and closes."""
        self.answer(protocol.error(code, message))
        self.end(code, message)

    def end(self, code: Code, message: str) -> None:
        """Closes the socket after what was sent before; the first reason stands."""
        if self.is_ending:
            return
        DROPPED.labels(code.name.lower()).inc()
        self.lifetime.reschedule(asyncio.get_running_loop().time() + CLOSE_SECONDS)
        self._goodbye = asyncio.create_task(self._close(code, message))

    def attend(self, now: float, idle_seconds: float) -> None:
        """What time asks for: a ping, or the end of a client that is silent, or that watches nothing."""
        if self.pinged_at is not None and now - self.pinged_at > protocol.PONG_SECONDS:
            self.end(Code.NO_PONG, "No pong came.")
        elif self.pinged_at is None and now - self.heard_at > protocol.ACTIVITY_SECONDS:
            self.pinged_at = now
            self.answer(protocol.PING)
        if not self.watching and now - self.unused_since > idle_seconds:
            self.end(Code.UNUSED, "Nothing was watched here for long.")
        elif any(principal.expires_at <= time.time() for principal in self.watching.values()):
            self.end(Code.TOKEN_ENDED, "The token has ended.")

    def close(self) -> None:
        """The connection is gone, or given up."""
        if self._goodbye is not None:
            self._goodbye.cancel()

    async def _close(self, code: Code, message: str) -> None:
        try:
            await self._websocket.close(code, message)
        except (WebSocketDisconnect, RuntimeError):
            return  # the client left by itself meanwhile, which whoever serves the socket has seen too
