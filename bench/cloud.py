"""The cloud that every side of the comparison calls, cheap enough to stand aside: `python -m bench.cloud PORT`.

POST /link?p=P answers after `link_ms`; POST /users/U?p=P after `user_ms`, with a key. GET /stats counts calls and what
was called twice, POST /config {"link_ms", "user_ms"} sets the delays, POST /reset forgets the counts.
"""

import asyncio
import json
import sys
from collections import Counter
from typing import cast

import httptools
import uvloop

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def _answer(content: object) -> bytes:
    body = json.dumps(content).encode()
    return OK % (len(body), body)


DONE = _answer({"ok": True})


class Cloud:
    """What all connections share."""

    def __init__(self) -> None:
        self.delay = {"link_ms": 0.0, "user_ms": 0.0}
        self.links: Counter[str] = Counter()
        self.users: Counter[str] = Counter()
        self.in_flight = 0
        self.most_in_flight = 0

    def handle(self, target: str, body: bytes) -> tuple[bytes, float]:
        """The answer, and the milliseconds to wait before it."""
        path, _, query = target.partition("?")
        if path == "/link":
            self.links[query] += 1
            return DONE, self.delay["link_ms"]
        if path.startswith("/users/"):
            self.users[f"{query}/{path[7:]}"] += 1
            key = {"id": f"AK{path[7:]}", "secret": "made-for-the-benchmark"}
            return _answer({"ok": True, "key": key}), self.delay["user_ms"]
        if path == "/config":
            self.delay |= json.loads(body)
        elif path == "/reset":
            self.links.clear()
            self.users.clear()
            self.most_in_flight = self.in_flight
        return _answer(self._stats()), 0.0

    def _stats(self) -> dict[str, int]:
        return {
            "link_calls": self.links.total(),
            "links": len(self.links),
            "user_calls": self.users.total(),
            "users": len(self.users),
            "most_in_flight": self.most_in_flight,
        }


class Connection(asyncio.Protocol):
    """One client's connection; requests on it come one after the other."""

    def __init__(self, cloud: Cloud) -> None:
        self._cloud = cloud
        self._parser = httptools.HttpRequestParser(self)
        self._target = self._body = b""
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's own class says nothing of its kind

    def data_received(self, data: bytes) -> None:
        self._parser.feed_data(data)

    def on_url(self, url: bytes) -> None:
        self._target += url

    def on_body(self, body: bytes) -> None:
        self._body += body

    def on_message_complete(self) -> None:
        answer, delay = self._cloud.handle(self._target.decode(), self._body)
        self._target = self._body = b""
        if delay:
            self._cloud.in_flight += 1
            self._cloud.most_in_flight = max(self._cloud.most_in_flight, self._cloud.in_flight)
            asyncio.get_running_loop().call_later(delay / 1000, self._late, answer)
        else:
            self._transport.write(answer)

    def _late(self, answer: bytes) -> None:
        self._cloud.in_flight -= 1
        if not self._transport.is_closing():
            self._transport.write(answer)


async def serve(port: int) -> None:
    """Until it is ended."""
    cloud = Cloud()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(cloud), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
