"""A server that answers whatever a test wants, byte by byte, and a region's HTTP against it."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from clouds.http import RegionHttp
from clouds.regions import Region
from clouds.settings import CloudSettings
from clouds.testing import free_port

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
EMPTY_503 = b"HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n"
EMPTY_500 = b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n"
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"

Script = Callable[[asyncio.StreamWriter], Awaitable[None]]


def says(answer: bytes) -> Script:
    """These bytes, whatever was asked."""

    async def script(writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return script


def limited(retry_after: str) -> bytes:
    """A 429."""
    return f"HTTP/1.1 429 Too Many Requests\r\nRetry-After: {retry_after}\r\nContent-Length: 0\r\n\r\n".encode()


async def cut(writer: asyncio.StreamWriter) -> None:
    """Closes without an answer."""
    writer.close()


async def hang(_: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def endless(writer: asyncio.StreamWriter) -> None:
    """A body without end, as fast as it is read."""
    writer.write(HEAD + b"Transfer-Encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"10000\r\n" + b"x" * 0x10000 + b"\r\n")
        await writer.drain()


class Server:
    """Plays its scripts in order, the last one for ever after, and keeps the request lines."""

    def __init__(self, *scripts: Script) -> None:
        self.scripts = list(scripts)
        self.requests: list[str] = []
        self.heads: list[list[str]] = []

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = [line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:")]
                if length:
                    await reader.readexactly(int(length[0].split(b":")[1]))
                request, *lines = head.decode().strip().split("\r\n")
                self.requests.append(request)
                self.heads.append(lines)
                script = self.scripts.pop(0) if len(self.scripts) > 1 else self.scripts[0]
                await script(writer)
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()


@asynccontextmanager
async def region_at(server: Server, **settings: float) -> AsyncIterator[RegionHttp]:
    """The region that ``server`` answers for."""
    port = free_port()
    listener = await asyncio.start_server(server.connected, "127.0.0.1", port)
    http = RegionHttp(region(f"http://127.0.0.1:{port}"), CloudSettings(**({"timeout": 2.0} | settings)))  # type: ignore[arg-type]  # two of the fields are integers
    try:
        yield http
    finally:
        await http.aclose()
        listener.close()


def region(url: str) -> Region:
    """One at this address."""
    return Region(code="t", name="T", provider="test", url=url, account="a", username="u")
