"""One client's socket: what it watches, when it was heard, and the frames that wait to leave, which are bounded."""

import asyncio
import time
from collections import deque
from datetime import UTC, datetime
from typing import NamedTuple

from prometheus_client import Counter, Histogram
from starlette.websockets import WebSocket, WebSocketDisconnect

from project_api import push_protocol as protocol
from project_api.push_protocol import Code
from project_api.tokens import Principal

FRAMES = Counter("uca_push_frames_total", "Frames sent to clients", ("event",))
DROPPED = Counter("uca_push_dropped_total", "Sockets that were ended by us", ("reason",))
DELAY = Histogram(
    "uca_push_delay_seconds",
    "From the commit of a change to the frame on its way",
    buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10),
)

CLOSE_SECONDS = 2.0
"""How long a client has to take our goodbye before it is cut off."""

FLOOD_SECONDS, FLOOD_MESSAGES = 10.0, 1000
"""A page subscribes to some hundred projects at once when it comes back; more than this is no page."""


class Frame(NamedTuple):
    """What one client is sent. ``committed_at`` is when that became true, where it is news."""

    text: str
    event: str = "protocol"
    committed_at: datetime | None = None


class Socket:
    """A client's connection. Nothing here waits for the client: frames are put, a task of its own sends them."""

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
        self._buffer_bytes = buffer_bytes
        self._frames: deque[Frame] = deque()
        self._bytes = 0
        self._sending: asyncio.Task[None] | None = None
        self._goodbye: tuple[Code, str] | None = None

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

    def refuse(self, code: Code, message: str) -> None:
        """Says why, and closes."""
        self.put(Frame(protocol.error(code, message)))
        self.end(code, message)

    def put(self, frame: Frame) -> None:
        """Sends a frame after those before it; a client that doesn't take them is told to come back, and cut off."""
        if self._goodbye is not None:
            return
        if self._bytes + len(frame.text) > self._buffer_bytes:
            self._drop_frames()
            self.end(Code.TOO_SLOW, "Too slow: frames were waiting too long.")
            return
        self._frames.append(frame)
        self._bytes += len(frame.text)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def end(self, code: Code, message: str) -> None:
        """Closes the socket after what was put before; the first reason stands."""
        if self._goodbye is not None:
            return
        DROPPED.labels(code.name.lower()).inc()
        self._goodbye = code, message
        self.lifetime.reschedule(asyncio.get_running_loop().time() + CLOSE_SECONDS)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())

    def attend(self, now: float, idle_seconds: float) -> None:
        """What time asks for: a ping, or the end of a client that is silent, or that watches nothing."""
        if self.pinged_at is not None and now - self.pinged_at > protocol.PONG_SECONDS:
            self.end(Code.NO_PONG, "No pong came.")
        elif self.pinged_at is None and now - self.heard_at > protocol.ACTIVITY_SECONDS:
            self.pinged_at = now
            self.put(Frame(protocol.PING))
        if not self.watching and now - self.unused_since > idle_seconds:
            self.end(Code.UNUSED, "Nothing was watched here for long.")
        elif any(principal.expires_at <= time.time() for principal in self.watching.values()):
            self.end(Code.TOKEN_ENDED, "The token has ended.")

    def close(self) -> None:
        """The connection is gone."""
        self._drop_frames()

    def _drop_frames(self) -> None:
        self._frames.clear()
        self._bytes = 0
        if self._sending is not None:
            self._sending.cancel()
            self._sending = None

    async def _send(self) -> None:
        try:
            while self._frames:
                frame = self._frames.popleft()
                await self._websocket.send({"type": "websocket.send", "text": frame.text})
                self._bytes -= len(frame.text)
                FRAMES.labels(frame.event).inc()
                if frame.committed_at is not None:
                    DELAY.observe((datetime.now(UTC) - frame.committed_at).total_seconds())
            if self._goodbye is not None:
                code, message = self._goodbye
                await self._websocket.close(code, message)
            self._sending = None
        except WebSocketDisconnect:
            # The one who serves the socket hears of it too, and closes it.
            self._frames.clear()
