"""HTTP/1.1 on kept connections to one host, each with one request at a time.

A cloud is called at least once a user, so this is where a busy process spends its CPU (decision 19). Nothing is
repeated, followed, unpacked or remembered: what a request means is its caller's affair.
"""

import asyncio
import ssl
from collections import deque
from time import monotonic
from typing import cast
from urllib.parse import urlsplit

import aiohappyeyeballs
import httptools

from clouds.addresses import GuardedResolver
from clouds.answers import Answer
from clouds.errors import Invalid

MAX_HEAD = 64 * 1024
"""Bytes of an answer before its body; far more than any cloud sends."""

KEPT = 30.0
"""Seconds that an unused connection is kept."""

SECOND_ADDRESS = 0.25
"""Seconds after which the host's next address is tried, too (RFC 8305)."""


class NotConnected(OSError):
    """Nothing was sent."""


class Broken(OSError):
    """The connection ended, or what came on it is no HTTP: whether the request was carried out is unknown."""


class Connections:
    """To the host of ``url``, as many as there are requests at once.

    ``max_body`` is in bytes, as they come over the line: in no form does an answer take more memory.
    """

    def __init__(self, url: str, tls: ssl.SSLContext | None, *, allow_private: bool, max_body: int) -> None:
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self._tls = tls
        self._resolver = GuardedResolver(self._host, self._port, allow_private=allow_private)
        self._max_body = max_body
        self._idle: deque[tuple[float, _Connection]] = deque()

    async def exchange(self, request: bytes, within: float) -> Answer:
        """The answer to a request, given as it is to be sent, in ``within`` seconds.

        Raises NotConnected, Broken, TimeoutError once something was sent, and Invalid for an answer that is too long or
        compressed.
        """
        connection = self._kept()
        if connection is None:
            began = monotonic()
            connection = await self._connect(within)
            within -= monotonic() - began
        answer = await connection.exchange(request, within)
        self._idle.append((monotonic(), connection))
        return answer

    def close(self) -> None:
        """Ends what nobody uses."""
        while self._idle:
            self._idle.pop()[1].close()

    def _kept(self) -> "_Connection | None":
        """The one that was used last, so that those which are too many grow old."""
        too_old = monotonic() - KEPT
        while self._idle and self._idle[0][0] < too_old:
            self._idle.popleft()[1].close()
        while self._idle:
            connection = self._idle.pop()[1]
            if connection.is_open:
                return connection
        return None

    async def _connect(self, within: float) -> "_Connection":
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(within):
                addresses = await self._resolver.resolve()
                socket = await aiohappyeyeballs.start_connection(addresses, happy_eyeballs_delay=SECOND_ADDRESS)
                _, connection = await loop.create_connection(
                    lambda: _Connection(self._max_body),
                    sock=socket,
                    ssl=self._tls,
                    server_hostname=self._host if self._tls else None,
                )
        except OSError as error:
            raise NotConnected(repr(error)) from error
        return connection


class _Connection(asyncio.Protocol):
    """One connection. The transport calls what is named as it is in asyncio, the parser what is named ``on_…``."""

    def __init__(self, max_body: int) -> None:
        self._max_body = max_body
        self._parser = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._answer: asyncio.Future[Answer] | None = None
        """What somebody waits for."""
        self._received = 0
        self._headers: dict[str, str] = {}
        self._has_head = False
        self._body = bytearray()
        self.is_open = False
        """Another request may be sent on it."""

    async def exchange(self, request: bytes, within: float) -> Answer:
        loop = asyncio.get_running_loop()
        self._received, self._has_head, self._answer = 0, False, loop.create_future()
        timer = loop.call_later(within, self._fail, TimeoutError())
        self._transport.write(request)
        try:
            return await self._answer
        except BaseException:
            self.close()  # an answer that still comes must not be taken for the next request's
            raise
        finally:
            timer.cancel()

    def close(self) -> None:
        self.is_open = False
        self._transport.abort()

    def _fail(self, error: Exception) -> None:
        self.close()
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(error)

    # --- the transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class says nothing of its kind
        self.is_open = True

    def data_received(self, data: bytes) -> None:
        self._received += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._fail(Broken(repr(error)))
        limit = self._max_body if self._has_head else MAX_HEAD
        if self._received > limit:
            self._fail(Invalid(f"The cloud's answer is longer than {limit} bytes."))

    def eof_received(self) -> None:
        """The end of an answer that says nothing of its length; the connection closes in any case."""
        if self._has_head and not self._headers.keys() & {"content-length", "transfer-encoding"}:
            self.on_message_complete()

    def connection_lost(self, _: Exception | None) -> None:
        self._fail(Broken("the connection ended before the answer"))

    # --- the parser

    def on_message_begin(self) -> None:
        if self._answer is None:
            self.close()  # nobody has asked: a second answer to one request
        self._headers, self._body, self._has_head = {}, bytearray(), False

    def on_header(self, name: bytes, value: bytes) -> None:
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        self._has_head = True
        if self._headers.get("content-encoding", "identity") != "identity":
            self._fail(Invalid("The cloud compressed its answer, which was not asked for."))

    def on_body(self, part: bytes) -> None:
        self._body += part

    def on_message_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200 or self._answer is None or self._received > self._max_body:
            return  # a word before the answer, one more after it, or a failure in a moment
        answer, self._answer = self._answer, None
        self.is_open = self._parser.should_keep_alive()
        if not answer.done():
            answer.set_result(Answer(status, self._headers, bytes(self._body)))
