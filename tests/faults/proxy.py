"""A TCP proxy on loopback that cuts, delays, or swallows what passes."""

import asyncio
from collections.abc import Callable
from typing import Self

Fate = Callable[[bytes], str]
"""Of a piece on its way to the server: ``pass``, ``before`` (cut, it never arrives) or ``after`` (cut, it arrives)."""


def passing(_: bytes) -> str:
    """Nothing is cut."""
    return "pass"


class Proxy:
    """Between clients and one server. The attributes may be changed while it runs.

    ``cut_every`` bytes end a connection, ``latency`` is seconds for each piece and direction, ``black`` swallows what
    goes one way ("up": to the server, "down": from it) and keeps the connection open, ``fate`` judges each piece.
    """

    def __init__(self, port: int, target: int) -> None:
        self.port = port
        self._target = target
        self._open: set[asyncio.Task[None]] = set()
        self.heal()

    def heal(self) -> None:
        """Everything passes from now on."""
        self.fate: Fate = passing
        self.cut_every = 0
        self.latency = 0.0
        self.black = ""

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._open:
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._connect(reader, writer)
        except OSError:
            return  # the server is away: the client sees its connection end
        finally:
            self._open.discard(task)
            writer.transport.abort()

    async def _connect(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        server_reader, server_writer = await asyncio.open_connection("127.0.0.1", self._target)
        doomed = asyncio.Event()
        ways = [
            asyncio.create_task(self._pass(reader, server_writer, "up", doomed)),
            asyncio.create_task(self._pass(server_reader, writer, "down", doomed)),
        ]
        try:
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            server_writer.close()

    async def _pass(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str, doomed: asyncio.Event
    ) -> None:
        passed = 0
        while piece := await reader.read(65536):
            fate = self.fate(piece) if direction == "up" else "pass"
            if self.latency:
                await asyncio.sleep(self.latency)
            if fate == "before":
                return
            if fate == "after":
                doomed.set()  # the server's answer goes to nobody
            if self.black != direction and not (doomed.is_set() and direction == "down"):
                writer.write(piece)
                await writer.drain()
            if fate == "after":
                await asyncio.sleep(0.05)
                return
            passed += len(piece)
            if self.cut_every and passed >= self.cut_every:
                return
