"""What one client may make a connection hold, over a listener that is real."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

import httpx
import pytest
from project_api.parts import Parts
from project_api.push.testing import PATIENCE, Replica, client, listening
from project_api.web import transport
from prometheus_client import REGISTRY

GET = b"GET /healthz HTTP/1.1\r\nHost: x\r\n"
LARGE = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@pytest.fixture(scope="module")
async def replica(parts: Parts) -> AsyncIterator[Replica]:
    """One that listens, and is alive however long the tests before took, though nobody keeps the beat here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts.health, "alive", lambda: True)
        async with listening(parts) as found:
            yield found


@asynccontextmanager
async def connected(replica: Replica) -> AsyncIterator[Streams]:
    """A client of nobody's making."""
    host, port = replica.address.split(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    yield reader, writer
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()


async def is_ended(reader: asyncio.StreamReader) -> bool:
    """Whether the other side ends the connection, whatever it says before."""
    with suppress(ConnectionError):
        async with asyncio.timeout(PATIENCE):
            await reader.read()
    return True


async def pour(writer: asyncio.StreamWriter, each: bytes, most: int) -> int:
    """Sends the same again and again until the other side ends it; the bytes that were taken, ``most`` at most."""
    sent = 0
    with suppress(ConnectionError):
        while sent < most:
            writer.write(each)
            await writer.drain()
            sent += len(each)
    return sent


MOST = 32 * 1024 * 1024


@pytest.mark.parametrize(
    ("begin", "more"),
    [
        (GET, b"X-A: " + b"a" * 8000 + b"\r\n"),
        (GET + b"X-A: ", b"a" * 8000),
        (b"GET /", b"a" * 8000),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\nX: ", b"a" * 8000),
        (b"POST /healthz HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"a" * 8000),
    ],
    ids=["headers", "header", "address", "trailer", "chunk extension"],
)
async def test_what_never_ends_is_not_taken(replica: Replica, begin: bytes, more: bytes) -> None:
    """A head, a trailer or a chunk's extension without end is ended before it takes memory."""
    async with connected(replica) as (reader, writer):
        assert await pour(writer, begin + more, len(begin + more)) > 0
        assert await pour(writer, more, MOST) < MOST
        assert await is_ended(reader)


@pytest.mark.parametrize(
    "begin",
    [b"", GET, GET + b"\r\n" + GET, b"POST /healthz HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999\r\n\r\n"],
    ids=["silence", "half a head", "half a second head", "a body that nobody waits for"],
)
async def test_a_head_that_is_too_slow_ends_its_connection(
    replica: Replica, monkeypatch: pytest.MonkeyPatch, begin: bytes
) -> None:
    """Who sends nothing, or a byte now and then, keeps no place."""
    monkeypatch.setattr(transport, "HEAD_SECONDS", 0.3)
    async with connected(replica) as (reader, writer):
        writer.write(begin)
        ending = asyncio.create_task(is_ended(reader))
        while not ending.done():
            if begin:
                writer.write(b"X")
            await asyncio.sleep(0.05)
        assert await ending


async def test_requests_sent_ahead_are_bounded(replica: Replica) -> None:
    """More of them than a client has use for end the connection; a few are answered in their order."""
    async with connected(replica) as (reader, writer):
        writer.write((GET + b"\r\n") * 9 + GET + b"Connection: close\r\n\r\n")
        async with asyncio.timeout(PATIENCE):
            assert (await reader.read()).count(b"HTTP/1.1 200") == 10
    before = shed("pipeline")
    async with connected(replica) as (reader, writer):
        assert await pour(writer, (GET + b"\r\n") * 1000, MOST) < MOST
        assert await is_ended(reader)
    assert shed("pipeline") == before + 1


async def test_who_reads_no_answer_keeps_no_place(
    parts: Parts, replica: Replica, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An answer that its client does not take is given up, and counts among the requests at work no more."""
    monkeypatch.setattr(transport, "UNREAD_SECONDS", 0.3)
    host, port = replica.address.split(":")
    _, writer = await asyncio.open_connection(host, int(port), limit=1024)
    writer.write(LARGE * 60)
    await comes(lambda: parts.in_flight.count > 0)
    await comes(lambda: parts.in_flight.count == 0 and not replica.connections)
    writer.close()


async def test_what_is_ordinary_passes(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long head, a connection used again, and a socket that lives longer than a head may take."""
    monkeypatch.setattr(transport, "HEAD_SECONDS", 1.0)
    async with replica.http as http:
        for _ in range(3):
            answer = await http.get("/healthz", headers={"X-Long": "a" * 60_000})
            assert answer.status_code == httpx.codes.OK
    async with client(replica) as socket:
        await asyncio.sleep(1.2)
        assert await socket.hears_nothing_before_pong()


async def test_a_socket_on_a_connection_used_before_lives(replica: Replica, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a proxy that keeps connections opens it: it waits for no head either."""
    monkeypatch.setattr(transport, "HEAD_SECONDS", 1.0)
    upgrade = b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: eA==\r\n"
    async with connected(replica) as (reader, writer):
        writer.write(GET + b"\r\n")
        await reader.readuntil(b"ok")
        writer.write(b"GET /app/uca?protocol=7 HTTP/1.1\r\nHost: x\r\n" + upgrade + b"\r\n")
        await reader.readuntil(b"connection_established")
        ending = asyncio.create_task(is_ended(reader))
        await asyncio.sleep(1.2)
        assert not ending.done()
        ending.cancel()


async def comes(what: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not what():  # noqa: ASYNC110 - nobody tells a gauge's change
            await asyncio.sleep(0.01)


def shed(reason: str) -> float:
    return REGISTRY.get_sample_value("uca_http_shed_total", {"reason": reason}) or 0
