"""Kept connections, against a server that reads a request and then sends what a test wants, byte by byte."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from clouds import connections
from clouds.addresses import GuardedResolver
from clouds.answers import Answer
from clouds.connections import Broken, Connections, NotConnected
from clouds.errors import Invalid
from clouds.testing import free_port

REQUEST = b"GET / HTTP/1.1\r\nhost: t\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}"
CUT = b""
"""Closes the connection."""


class Cloud:
    """Sends ``answers`` in their order, in the given pieces; counts connections."""

    def __init__(self, *answers: tuple[bytes, ...] | asyncio.Event) -> None:
        self.answers = list(answers)
        self.writers: list[asyncio.StreamWriter] = []
        self.ended = asyncio.Semaphore(0)

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.writers.append(writer)
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                answer = self.answers.pop(0)
                if isinstance(answer, asyncio.Event):
                    await answer.wait()
                    answer = (OK,)
                for piece in answer:
                    if piece == CUT:
                        writer.close()
                        return
                    writer.write(piece)
                    await asyncio.sleep(0)  # each piece in a segment of its own, mostly; the parser takes both
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()
        finally:
            self.ended.release()


@asynccontextmanager
async def connected_to(cloud: Cloud, max_body: int = 1000) -> AsyncIterator[Connections]:
    port = free_port()
    listener = await asyncio.start_server(cloud.connected, "127.0.0.1", port)
    to = Connections(f"http://127.0.0.1:{port}", None, allow_private=False, max_body=max_body)
    try:
        yield to
    finally:
        to.close()
        listener.close()


async def asks(to: Connections, within: float = 2) -> Answer:
    return await to.exchange(REQUEST, within)


async def idle_ones_end(to: Connections) -> None:
    """What the cloud did to a connection comes a few turns of the loop later."""
    while any(connection.is_open for _, connection in to._idle):  # noqa: ASYNC110 - the connection's own state
        await asyncio.sleep(0)


async def test_a_connection_is_used_again() -> None:
    """Forty requests one after the other need one, whatever they add up to; two at a time need two."""
    cloud = Cloud(*[(OK,)] * 42)
    async with connected_to(cloud) as to:
        for _ in range(40):
            assert (await asks(to)).body == b"{}"
        assert len(cloud.writers) == 1
        await asyncio.gather(asks(to), asks(to))
        assert len(cloud.writers) == 2


@pytest.mark.parametrize(
    "last",
    [
        b"HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 2\r\n\r\n{}",
        b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\n{}",
    ],
)
async def test_a_connection_that_is_to_end_is_not_used_again(last: bytes) -> None:
    """Where the cloud says so, or speaks the old HTTP."""
    cloud = Cloud((last,), (OK,))
    async with connected_to(cloud) as to:
        assert (await asks(to)).body == (await asks(to)).body == b"{}"
    assert len(cloud.writers) == 2


async def test_a_connection_that_the_cloud_closed_meanwhile_is_not_used_again() -> None:
    """An unused one ends when the cloud has had enough of it; the next request opens another."""
    cloud = Cloud((OK,), (OK,))
    async with connected_to(cloud) as to:
        await asks(to)
        cloud.writers[0].close()
        await idle_ones_end(to)
        assert (await asks(to)).status == 200
    assert len(cloud.writers) == 2


async def test_an_old_connection_is_not_used_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has been idle for long is closed, and its cloud told so."""
    cloud = Cloud((OK,), (OK,))
    async with connected_to(cloud) as to:
        await asks(to)
        monkeypatch.setattr(connections, "KEPT", -1.0)
        await asks(to)
        await cloud.ended.acquire()
    assert len(cloud.writers) == 2


@pytest.mark.parametrize(
    ("pieces", "body"),
    [
        ((b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 5\r", b"\n\r\nhe", b"llo"), b"hello"),
        ((b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", b"2\r\nlo\r\n0\r\n\r\n"), b"hello"),
        ((b"HTTP/1.1 200 OK\r\n\r\nhel", b"lo", CUT), b"hello"),
        ((b"HTTP/1.1 204 No Content\r\n\r\n",), b""),
        ((b"HTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n", OK), b"{}"),
    ],
    ids=["in pieces", "chunked", "until the end", "none", "after a hint"],
)
async def test_every_way_to_end_an_answer_is_understood(pieces: tuple[bytes, ...], body: bytes) -> None:
    """By length, by chunks, by the connection's end where nothing else is said, and past words that come before it."""
    async with connected_to(Cloud(pieces)) as to:
        answer = await asks(to)
    assert (answer.status, answer.body) == (204 if pieces[0].startswith(b"HTTP/1.1 204") else 200, body)
    assert "link" not in answer.headers


@pytest.mark.parametrize(
    "pieces",
    [
        (CUT,),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhel", CUT),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", CUT),
        (b"HTTP/1.1 200 OK\r\nconte", CUT),
        (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n",),
        (b"+OK ready\r\n",),
    ],
)
async def test_half_an_answer_is_none(pieces: tuple[bytes, ...]) -> None:
    """What is cut short, has two lengths, or is another protocol's leaves the request's end unknown."""
    async with connected_to(Cloud(pieces)) as to:
        with pytest.raises(Broken):
            await asks(to)


@pytest.mark.parametrize("before", [b"HTTP/1.1 204 No Content\r\n\r\n", OK])
async def test_the_end_of_a_used_connection_is_not_the_last_answer_again(before: bytes) -> None:
    """One without length and body came on it, which would be complete at any end."""
    async with connected_to(Cloud((before,), (CUT,))) as to:
        await asks(to)
        with pytest.raises(Broken):
            await asks(to)


async def test_a_late_answer_is_not_taken_for_the_next_requests() -> None:
    """A request that was given up takes its connection with it."""
    late = asyncio.Event()
    cloud = Cloud(late, (b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2",))
    async with connected_to(cloud) as to:
        with pytest.raises(TimeoutError):
            await asks(to, within=0.05)
        late.set()
        assert (await asks(to)).body == b"2"
    assert len(cloud.writers) == 2


async def test_the_limit_of_one_request_is_not_the_next_ones() -> None:
    """A connection serves on after the time that its first request might have taken."""
    late = asyncio.Event()
    async with connected_to(Cloud((OK,), late)) as to:
        await asks(to, within=0.05)
        asyncio.get_running_loop().call_later(0.1, late.set)
        assert (await asks(to)).status == 200


async def test_a_cancelled_request_takes_its_connection_with_it() -> None:
    """As one that was given up: the cloud sees the end of it."""
    late = asyncio.Event()
    cloud = Cloud(late, (OK,))
    async with connected_to(cloud) as to:
        waiting = asyncio.create_task(asks(to))
        while not cloud.writers:  # noqa: ASYNC110 - the server's own list
            await asyncio.sleep(0.001)
        waiting.cancel()
        await asyncio.gather(waiting, return_exceptions=True)
        assert (await asks(to)).status == 200
        late.set()
        await asyncio.wait_for(cloud.ended.acquire(), 5)
    assert len(cloud.writers) == 2


async def test_what_nobody_asked_for_ends_the_connection() -> None:
    """A second answer to one request would be taken for the next one's."""
    cloud = Cloud((OK + b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n2",), (OK, OK), (OK,))
    async with connected_to(cloud) as to:
        assert (await asks(to)).body == b"{}"
        assert (await asks(to)).body == b"{}"
        await idle_ones_end(to)
        assert (await asks(to)).body == b"{}"
    assert len(cloud.writers) == 3


@pytest.mark.parametrize(
    "pieces",
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2000\r\n\r\n", b"x" * 2000),
        (b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 2000, CUT),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", b"1\r\nx\r\n" * 400),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000,),
        (b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\ncontent-length: 3\r\n\r\nabc",),
    ],
    ids=["length", "until the end", "many chunks", "head", "packed"],
)
async def test_an_answer_that_is_too_long_or_packed_is_refused(pieces: tuple[bytes, ...]) -> None:
    """The limit is on what comes over the line, so that no form of it takes more memory."""
    async with connected_to(Cloud(pieces)) as to:
        with pytest.raises(Invalid):
            await asks(to)


async def test_what_comes_before_a_body_has_a_limit_of_its_own() -> None:
    """Though a body may be much longer: what is read bit by bit into one header would take the loop's time."""
    head = b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000
    async with connected_to(Cloud((head,)), max_body=1_000_000) as to:
        with pytest.raises(Invalid):
            await asks(to)


async def test_no_connection_is_told_from_a_broken_one() -> None:
    """Nothing was sent, so nothing can have happened: nobody listens, or the name does not exist."""
    for url in (f"http://127.0.0.1:{free_port()}", "http://nowhere.invalid:80"):
        to = Connections(url, None, allow_private=True, max_body=10)
        with pytest.raises(NotConnected):
            await asks(to, within=5)


async def test_the_time_of_connecting_is_part_of_the_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    """What took all of it sent nothing; what took some of it leaves the rest for the answer."""

    class Slow(GuardedResolver):
        async def resolve(self) -> Any:
            await asyncio.sleep(0.1)
            return await super().resolve()

    monkeypatch.setattr(connections, "GuardedResolver", Slow)
    async with connected_to(Cloud((OK,))) as to:
        with pytest.raises(NotConnected):
            await asks(to, within=0.02)
        given: list[float] = []
        exchange = connections._Connection.exchange

        async def look(connection: Any, request: bytes, within: float) -> Answer:
            given.append(within)
            return await exchange(connection, request, within)

        monkeypatch.setattr(connections._Connection, "exchange", look)
        await asks(to, within=5)
    assert given[0] <= 4.9
