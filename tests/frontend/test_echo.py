"""Push as the owner's frontend uses it: laravel-echo and pusher-js themselves, against two replicas of project-api."""

import asyncio
import json
import random
import shutil
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
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

    async def connected(self) -> str:
        """The socket's id, once there is one."""
        while (said := await self.hear("state"))["state"] != "connected":
            pass
        return str(said["socket"])

    async def until_end(self) -> list[dict[str, Any]]:
        """Every event up to the end of the run and one more."""
        events = [await self.hear("event")]
        while events[-1]["name"] == "Updated":
            events.append(await self.hear("event"))
        return [*events, await self.hear("event")]


Watch = Callable[..., Coroutine[Any, Any, Watcher]]


@pytest.fixture(params=["echo", "pusher"])
def library(request: pytest.FixtureRequest) -> str:
    """laravel-echo on pusher-js, and pusher-js alone."""
    return str(request.param)


@pytest.fixture
async def watch(api: Api, node: str, packages: Path) -> AsyncIterator[Watch]:
    """`await watch(library, port=…, token=…)`: a watcher whose socket and signatures are different replicas'."""
    # Node looks for packages beside the script.
    script = shutil.copy(HERE / "watcher.mjs", packages)
    processes = []

    async def start(library: str, *, port: int | None = None, token: str = "") -> Watcher:
        config = {
            "library": library,
            "key": api.environment["UCA_PUSH_KEY"],
            "port": port or urlsplit(api.urls[0]).port,
            "authEndpoint": f"{api.urls[1]}/api/v1/broadcasting/auth",
            "token": token or api.environment["UCA_ADMIN_TOKEN"],
        }
        process = await asyncio.create_subprocess_exec(
            node,
            script,
            json.dumps(config),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        processes.append(process)
        return Watcher(process)

    yield start
    for process in processes:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()


@asynccontextmanager
async def cuttable(port: int) -> AsyncIterator[tuple[int, Callable[[], None]]]:
    """A way to the port that can be cut: its own port, and what cuts every connection that goes through it."""
    writers: set[asyncio.StreamWriter] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass  # the other side is gone, which is what this is for
        finally:
            writer.close()

    async def take(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_server = await asyncio.open_connection("127.0.0.1", port)
        writers.update((writer, to_server[1]))
        await asyncio.gather(carry(reader, to_server[1]), carry(to_server[0], writer))

    def cut() -> None:
        for writer in writers:
            writer.transport.abort()
        writers.clear()

    own_port = next(each for each in random.sample(range(ports.FIRST, ports.LAST), 100) if ports.is_free(each))
    async with await asyncio.start_server(take, "127.0.0.1", own_port):
        yield own_port, cut
        cut()


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


async def test_every_step_is_heard(api: Api, watch: Watch, library: str, slow_cloud: None) -> None:
    """A page that listens from the start hears each step, the end, and one step more."""
    watcher = await watch(library)
    await watcher.connected()
    project = await api.create()
    await watcher.do(listen=project)
    assert (await watcher.hear("subscribed", "refused"))["at"] == "subscribed"
    assert_every_step(await watcher.until_end())


async def test_a_socket_that_was_cut_comes_back(api: Api, watch: Watch, library: str, slow_cloud: None) -> None:
    """A page whose connection is cut in the middle of a run connects, subscribes and hears the rest by itself."""
    async with cuttable(urlsplit(api.urls[0]).port or 0) as (port, cut):
        watcher = await watch(library, port=port)
        before = await watcher.connected()
        project = await api.create()
        await watcher.do(listen=project)
        await watcher.hear("subscribed")
        first = await watcher.hear("event")
        cut()
        assert await watcher.connected() != before
        await watcher.hear("subscribed")
        assert_every_step([first, *await watcher.until_end()])


async def test_a_broker_restart_loses_nothing(
    api: Api, watch: Watch, library: str, stack: Stack, slow_cloud: None
) -> None:
    """A page that watches while the broker goes and comes back hears everything, on the same socket."""
    watcher = await watch(library)
    await watcher.connected()
    project = await api.create()
    await watcher.do(listen=project)
    await watcher.hear("subscribed")
    first = await watcher.hear("event")
    await asyncio.to_thread(stack.supervisor.stop, ["broker"])
    await asyncio.to_thread(stack.start_infrastructure)
    assert_every_step([first, *await watcher.until_end()])


async def test_who_may_not_read_is_refused(api: Api, watch: Watch, library: str) -> None:
    """A tenant's administrator gets a 403 for a project that is not the tenant's, and no frame of it."""
    watcher = await watch(library, token=api.environment["UCA_TENANT_TOKEN"])
    await watcher.connected()
    project = await api.create()
    await watcher.do(listen=project)
    assert await watcher.hear("subscribed", "refused", "event") == {"at": "refused", "project": project, "status": 403}


async def test_client_events_are_refused(api: Api, watch: Watch, library: str) -> None:
    """What a page says to other pages goes nowhere; the page is told, and its socket stays."""
    watcher = await watch(library)
    await watcher.connected()
    project = await api.create()
    await watcher.do(listen=project)
    await watcher.hear("subscribed")
    await watcher.do(whisper=project)
    assert await watcher.hear("error", "state") == {"at": "error", "code": 4009}
    assert_every_step(await watcher.until_end())
