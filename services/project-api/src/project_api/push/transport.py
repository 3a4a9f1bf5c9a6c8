"""uvicorn's WebSocket connection, with a way to send one encoding to many clients, and to be rid of a stuck one.

What the server sends is not masked, so the bytes of a frame are the same for every watcher of a channel, and are
encoded once. Compression is off (web/server.py): a frame is small, and a compressor's window for each socket is not.
Decision 11 has the figures.
"""

from typing import Protocol, cast

from starlette.types import Scope
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol
from wsproto.events import Request

CUT_OFF_SECONDS = 3.0
"""After its socket's task has ended, a connection has this long to flush what it still holds, and no longer."""

EXTENSION = "uca.push"
"""The name in an ASGI scope's extensions under which the application finds the connection."""


class Sender(Protocol):
    """What push asks of a connection."""

    def write(self, frames: bytes) -> None:
        """Sends frames, encoded already; never waits."""
        ...

    def waiting(self) -> int:
        """Bytes that the client has not taken yet."""
        ...


class Connection(WSProtocol):
    """A :class:`Sender`. A closed transport waits for its buffer to drain; here it waits no longer than it must."""

    def handle_connect(self, event: Request) -> None:
        super().handle_connect(event)
        extensions = cast("dict[str, object]", self.scope["extensions"])
        extensions[EXTENSION] = self

    def write(self, frames: bytes) -> None:
        """Sends frames, unless the goodbye was sent before."""
        if not self.close_sent and not self.transport.is_closing():
            self.transport.write(frames)

    def waiting(self) -> int:
        """Bytes that the client has not taken yet."""
        return self.transport.get_write_buffer_size()

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(CUT_OFF_SECONDS, self.transport.abort)


def sender_of(scope: Scope) -> Sender:
    """The connection that a scope came through; the listener must use :class:`Connection`."""
    sender: Sender = scope["extensions"][EXTENSION]
    return sender


def encode(text: str) -> bytes:
    """One text message as a WebSocket frame of a server (RFC 6455, 5.2): whole, not masked."""
    payload = text.encode()
    length = len(payload)
    if length < 126:
        return bytes((0x81, length)) + payload
    if length < 65_536:
        return b"\x81\x7e" + length.to_bytes(2, "big") + payload
    return b"\x81\x7f" + length.to_bytes(8, "big") + payload
