"""Push as the owner's frontend uses it: laravel-echo and pusher-js themselves, against two replicas of project-api."""

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from local import ports
from local.stack import Stack

PATIENCE = 60.0
"""Seconds after which what never came is a failure; nothing is waited for this long that comes."""

HERE = Path(__file__).parent
PAGE = b"<!doctype html><title>Watching</title>"


class Api:
    """project-api's two replicas, as an administrator's browser speaks to them."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        self.urls = environment["UCA_API_URLS"].split(",")
        headers = {"Authorization": f"Bearer {environment['UCA_ADMIN_TOKEN']}"}
        self.http = httpx.AsyncClient(base_url=self.urls[0], headers=headers, timeout=30)
        self._count = 0

    async def create(self, **fields: Any) -> str:
        """A project with every admin as participant; its identifier."""
        self._count += 1
        body = {"name": f"Watched {self._count} {id(self)}", "region": "region-1", "type": "vpc", **fields}
        answer = await self.http.post("/admin/v1/projects", json=body)
        assert answer.status_code == 201, answer.text
        return str(answer.json()["identifier"])

    async def behave(self, **behaviour: Any) -> None:
        """Sets what the cloud simulator does to its callers."""
        async with httpx.AsyncClient(base_url=self.environment["UCA_SIMULATOR_URL"]) as simulator:
            (await simulator.put("/_sim/behaviour", json=behaviour)).raise_for_status()


@pytest.fixture(scope="module")
async def api(environment: dict[str, str]) -> AsyncIterator[Api]:
    """The running stack's API."""
    api = Api(environment)
    yield api
    await api.http.aclose()


@pytest.fixture
async def slow_cloud(api: Api) -> AsyncIterator[None]:
    """Every call of the cloud takes a while, so that a run lasts for some seconds."""
    await api.behave(latency_ms={"project": 800, "user": 400})
    yield
    await api.behave(latency_ms={"project": 200, "user": 50})


class Watcher:
    """One browser's worth of JavaScript in a process of its own."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.socket = ""

    async def do(self, **command: str) -> None:
        """`listen="F1"`, `leave="F1"` or `whisper="F1"`."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(command).encode() + b"\n")
        await self._process.stdin.drain()

    async def hear(self, *kinds: str) -> dict[str, Any]:
        """The next thing of one of these kinds that the script says."""
        assert self._process.stdout is not None
        async with asyncio.timeout(PATIENCE):
            while line := await self._process.stdout.readline():
                said: dict[str, Any] = json.loads(line)
                if said["at"] in kinds:
                    return said
        raise AssertionError("the script ended")

    async def connected(self) -> None:
        """Returns once there is a (new) socket."""
        while (said := await self.hear("state"))["state"] != "connected":
            pass
        self.socket = str(said["socket"])

    async def listen(self, project: str) -> dict[str, Any]:
        """Subscribes, and returns the first event."""
        await self.do(listen=project)
        assert (await self.hear("subscribed", "refused"))["at"] == "subscribed"
        return await self.hear("event")

    async def until_end(self) -> list[dict[str, Any]]:
        """Every event up to the end of the run and one more."""
        events = [await self.hear("event")]
        while events[-1]["name"] == "Updated":
            events.append(await self.hear("event"))
        return [*events, await self.hear("event")]


Watch = Callable[..., Coroutine[Any, Any, Watcher]]


class Balancer:
    """What stands before the replicas: sockets go to the first one, signatures and the rest to the second.

    It has the frontend's page too, for a browser lets only a page from this machine connect to this machine. Every
    connection through it can be cut.
    """

    def __init__(self, urls: Sequence[str]) -> None:
        self.port = next(p for p in random.sample(range(ports.FIRST, ports.LAST), 100) if ports.is_free(p))
        self._sockets_to, self._rest_to = (urlsplit(url).port for url in urls)
        self._writers: set[asyncio.StreamWriter] = set()

    async def take(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carries one connection."""
        beginning = await reader.read(65536)
        if beginning.startswith(b"GET /watching "):
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nConnection: close\r\n\r\n" + PAGE)
            writer.close()
            return
        port = self._sockets_to if beginning.startswith(b"GET /app/") else self._rest_to
        from_server, to_server = await asyncio.open_connection("127.0.0.1", port)
        to_server.write(beginning)
        self._writers.update((writer, to_server))
        await asyncio.gather(_carry(reader, to_server), _carry(from_server, writer))

    def cut(self) -> None:
        """Ends every connection at once, without a goodbye."""
        for writer in self._writers:
            writer.transport.abort()
        self._writers.clear()


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    except ConnectionError:
        pass  # the other side is gone, which is what this is for
    finally:
        writer.close()


@pytest.fixture
async def balancer(api: Api) -> AsyncIterator[Balancer]:
    """The one address that a watcher knows."""
    balancer = Balancer(api.urls)
    async with await asyncio.start_server(balancer.take, "127.0.0.1", balancer.port):
        yield balancer
        balancer.cut()


@pytest.fixture
async def watch(
    request: pytest.FixtureRequest, api: Api, balancer: Balancer, node: str, packages: Path
) -> AsyncIterator[Watch]:
    """`await watch(how, token=…)`: a connected watcher, in Node with Bearer or in Chromium with the cookie."""
    for script in HERE.glob("*.mjs"):
        # Node looks for packages beside the script.
        shutil.copy(script, packages)
    processes = []

    async def start(how: str, token: str = "") -> Watcher:
        library, place = how.split(" in ")
        config = {
            "library": library,
            "key": api.environment["UCA_PUSH_KEY"],
            "port": balancer.port,
            "origin": f"http://127.0.0.1:{balancer.port}",
            "token": token or api.environment["UCA_ADMIN_TOKEN"],
            "executable": request.getfixturevalue("chromium") if place == "page" else None,
        }
        process = await asyncio.create_subprocess_exec(
            node,
            f"{place}.mjs",
            json.dumps(config),
            cwd=packages,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        watcher = Watcher(process)
        await watcher.connected()
        return watcher

    yield start
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


def assert_every_step(events: list[dict[str, Any]]) -> None:
    """The steps of one run: each was told as completed, in order and never backwards, then the end, then one more."""
    versions = [(event["data"]["run"], event["data"]["version"]) for event in events]
    assert versions == sorted(versions)
    done = [e["data"]["step"]["id"] for e in events if e["data"]["step"]["status"] == "completed"]
    assert list(dict.fromkeys(done)) == ["link", "users", "active"]
    assert [event["name"] for event in events[-2:]] == ["Completed", "Updated"]
    assert {event["data"]["status"] for event in events[-2:]} == {"active"}
    percents = [event["data"]["progress"]["percent"] for event in events]
    assert percents == sorted(percents)
    assert percents[-1] == 100


HOW = ["echo in node", "pusher in node", "echo in page"]
"""laravel-echo on pusher-js, and pusher-js alone; a page's cookie is all that it shows."""


@pytest.mark.parametrize("how", HOW)
async def test_every_step_is_heard(api: Api, watch: Watch, how: str, slow_cloud: None) -> None:
    """A page that listens from the start hears each step, the end, and one step more."""
    watcher = await watch(how)
    first = await watcher.listen(await api.create())
    assert_every_step([first, *await watcher.until_end()])


@pytest.mark.parametrize("how", HOW)
async def test_a_socket_that_was_cut_comes_back(
    api: Api, watch: Watch, balancer: Balancer, how: str, slow_cloud: None
) -> None:
    """A page whose connection is cut in the middle of a run connects, subscribes and hears the rest by itself."""
    watcher = await watch(how)
    first = await watcher.listen(await api.create())
    before = watcher.socket
    balancer.cut()
    await watcher.connected()
    assert watcher.socket != before
    assert_every_step([first, *await watcher.until_end()])


async def test_a_broker_restart_loses_nothing(api: Api, watch: Watch, stack: Stack, slow_cloud: None) -> None:
    """Pages that watch while the broker goes and comes back hear everything, on the same sockets."""
    watchers = [await watch(how) for how in HOW]
    sockets = [watcher.socket for watcher in watchers]
    project = await api.create()
    firsts = [await watcher.listen(project) for watcher in watchers]
    await asyncio.to_thread(stack.supervisor.stop, ["broker"])
    await asyncio.to_thread(stack.start_infrastructure)
    for first, watcher in zip(firsts, watchers, strict=True):
        assert_every_step([first, *await watcher.until_end()])
    assert [watcher.socket for watcher in watchers] == sockets


@pytest.mark.parametrize("how", HOW)
async def test_who_may_not_read_is_refused(api: Api, watch: Watch, how: str) -> None:
    """A tenant's administrator gets a 403 for a project that is not the tenant's, and no frame of it."""
    watcher = await watch(how, token=api.environment["UCA_TENANT_TOKEN"])
    project = await api.create()
    await watcher.do(listen=project)
    assert await watcher.hear("subscribed", "refused", "event") == {"at": "refused", "project": project, "status": 403}


@pytest.mark.parametrize("how", HOW)
async def test_client_events_are_refused(api: Api, watch: Watch, how: str) -> None:
    """What a page says to other pages goes nowhere; the page is told, and its socket stays."""
    watcher = await watch(how)
    project = await api.create()
    await watcher.listen(project)
    await watcher.do(whisper=project)
    assert await watcher.hear("error", "state") == {"at": "error", "code": 4009}
    assert (await watcher.listen(await api.create()))["name"] == "Updated"
