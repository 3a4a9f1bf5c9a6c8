"""uvicorn's HTTP connection, with bounds on what a client may make it hold before any route is asked.

uvicorn reads a request's head to its end however long that takes and grows, reads ahead of answers without end, and
waits for ever for a client that does not read. Any of these let one stranger take all memory or every place there is.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from project_api.web.limits import SHED

HEAD_SECONDS = 20.0
"""How long a request's head may take to arrive, the first one's from the connection's beginning."""
HEAD_BYTES = 64 * 1024
"""What may arrive beyond one read without ending a head or adding to a body."""
HEADER_LINES = 100
AHEAD = 64
"""Requests that may wait in a connection behind the one that is answered (pipelining)."""
UNREAD_SECONDS = 30.0
"""How long a client may take for an answer, once that is more than the system's buffers hold."""


class Connection(HttpToolsProtocol):
    """Ends a client that keeps it busy; one that was refused in the middle of a request gets no word about it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head: Final = _Timer(HEAD_SECONDS, self._waited_enough)
        self._unread: Final = _Timer(UNREAD_SECONDS, lambda: self._shed("unread"))
        self._in_head = False
        self._advanced = False
        self._withheld = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's own
        super().connection_made(transport)
        self._head.start()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head.stop()
        self._unread.stop()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.cycle is None or self.cycle.response_complete:
            # For the next request's head, or what is left of one that was answered before its end. Before anything is
            # read, for what has become a WebSocket afterwards has no head to wait for, and no request either.
            self._head.start()
        self._advanced = False
        super().data_received(data)
        self._withheld = 0 if self._advanced else self._withheld + len(data)
        if self._withheld > HEAD_BYTES:
            self._shed("head")

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = self._advanced = True

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            return  # a trailer: whoever read the headers has judged by them
        if len(self.headers) >= HEADER_LINES:
            self._shed("head")
        else:
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._head.stop()
        self._in_head, self._advanced = False, True
        if len(self.pipeline) >= AHEAD:
            self._shed("pipeline")
        elif not self.transport.is_closing():
            super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._advanced = True
        if not self.transport.is_closing():
            super().on_body(body)

    def on_message_complete(self) -> None:
        if not self.transport.is_closing():
            super().on_message_complete()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self.pipeline:
            self.flow.pause_reading()  # nothing more before all that waits is answered

    def pause_writing(self) -> None:
        self._unread.start()
        super().pause_writing()

    def resume_writing(self) -> None:
        self._unread.stop()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        self.transport.abort()  # closing would wait for who reads nothing

    def _waited_enough(self) -> None:
        if self._in_head:
            self._shed("slow_head")
        else:
            self.transport.abort()  # browsers connect beforehand and then send nothing: nobody was refused anything

    def _shed(self, reason: str) -> None:
        if not self.transport.is_closing():
            SHED.labels(reason).inc()
        self.transport.abort()


class _Timer:
    """Calls once when its time is up, unless it was stopped; starting one that runs changes nothing."""

    def __init__(self, seconds: float, call: Callable[[], None]) -> None:
        self._seconds, self._call = seconds, call
        self._handle: asyncio.TimerHandle | None = None

    def start(self) -> None:
        if self._handle is None:
            self._handle = asyncio.get_running_loop().call_later(self._seconds, self._fire)

    def stop(self) -> None:
        if self._handle is not None:
            self._handle.cancel()
            self._handle = None

    def _fire(self) -> None:
        self._handle = None
        self._call()
