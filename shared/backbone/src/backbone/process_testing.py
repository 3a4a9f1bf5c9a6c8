"""For tests of a service as it runs: processes of it on a virtual host of their own, and who hears what they say."""

import asyncio
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from backbone import topology
from backbone.broker import Publisher
from backbone.context import Context
from backbone.deliveries import Delivery
from backbone.envelope import Fact, pack, seal, unpack
from backbone.subscription import Subscription
from backbone.testing import Seen

RETRY_SCALE = 0.02
"""Of the usual retry delays, on the virtual host and in the processes."""

NOWHERE = {"DATABASE_URL": "postgresql://u:p@127.0.0.1:1/db", "AMQP_URL": "amqp://u:p@127.0.0.1:1/"}
"""Good enough for a process that has to end before it asks anybody."""

Keys = Mapping[str, Sequence[str]]


@asynccontextmanager
async def own_virtual_host(amqp_url: str, api_url: str, subscriptions: Keys, publications: Keys) -> AsyncIterator[str]:
    """The URL of one with every queue; entered as the administrator, for users are shared by all tests."""
    name = f"test-{secrets.token_hex(4)}"
    async with httpx.AsyncClient(base_url=f"{api_url}/api", timeout=30) as api:
        definitions = topology.definitions(subscriptions, publications, {}, vhost=name, retry_scale=RETRY_SCALE)
        (await api.post("/definitions", json=definitions)).raise_for_status()
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        user = quote(str(urlsplit(amqp_url).username), safe="")
        (await api.put(f"/permissions/{name}/{user}", json=rights)).raise_for_status()
        yield urlsplit(amqp_url)._replace(path=f"/{name}").geturl()
        await api.delete(f"/vhosts/{name}")


def ended(package: str, folder: Path, environment: Mapping[str, str]) -> "subprocess.CompletedProcess[str]":
    """How a process of the service ended that could not start, and what it said."""
    return subprocess.run(  # noqa: S603 - our own service
        [sys.executable, "-m", package],
        cwd=folder,
        env={"PATH": os.environ["PATH"], **NOWHERE, **environment},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


class Surroundings:
    """What stands around the processes of ``package``: who tells them something, and who hears their facts."""

    def __init__(self, package: str, publisher: Publisher, environment: Mapping[str, str]) -> None:
        self.facts = Seen()
        self._package = package
        self._publisher = publisher
        self._environment = environment

    async def say(self, *events: Fact) -> None:
        """Sends events as the other services would, each in a message of its own."""
        for event in events:
            messages = pack([seal(event, source="test", time=datetime.now(UTC), context=Context())])
            assert await self._publisher.publish(messages) == [messages[0].id]  # noqa: S101 - a test's own

    @asynccontextmanager
    async def running(self, port: int, **settings: str) -> AsyncIterator[asyncio.subprocess.Process]:
        """A process, ready at this port; told to stop at the end."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", self._package),
            env={**os.environ, **self._environment, "METRICS_PORT": str(port), **settings},
        )
        try:
            async with asyncio.timeout(30), httpx.AsyncClient(trust_env=False) as client:
                while not await _is_ready(client, port):  # noqa: ASYNC110 - another process
                    await asyncio.sleep(0.05)
            yield process
        finally:
            if process.returncode is None:
                process.terminate()
            await asyncio.wait_for(process.wait(), 30)


async def _is_ready(client: httpx.AsyncClient, port: int) -> bool:
    try:
        return (await client.get(f"http://127.0.0.1:{port}/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@asynccontextmanager
async def surroundings(
    package: str, amqp_url: str, queue: str, types: Mapping[str, type[Any]], environment: Mapping[str, str]
) -> AsyncIterator[Surroundings]:
    """Listens at a queue for what the processes say, by their source, and notes it as facts."""
    publisher = Publisher(amqp_url, name="test")
    around = Surroundings(package, publisher, {"AMQP_URL": amqp_url, "RETRY_SCALE": str(RETRY_SCALE), **environment})

    async def hear(delivery: Delivery) -> None:
        for envelope in unpack(delivery.body, delivery.content_type, types):
            if envelope.source == package.replace("_", "-"):
                around.facts.note(envelope.data)
        delivery.ack()

    listening = Subscription(amqp_url, name="test", queues={queue: hear}, prefetch=10)
    task = asyncio.create_task(listening.run())
    await asyncio.wait_for(listening.consuming.wait(), 30)
    yield around
    listening.release()
    await asyncio.wait_for(task, 30)
    await publisher.close()
