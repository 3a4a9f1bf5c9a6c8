"""The broker as its administrator has it: queue lengths, poison, alarms, and what nobody else may delete."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import aio_pika
import httpx
from aio_pika.abc import AbstractChannel, AbstractConnection
from local import ports, programs
from local.broker import NODE
from local.infrastructure import Infrastructure
from local.services import SERVICES


class Admin:
    """One connection, opened at the first use and again after each loss."""

    def __init__(self, parts: Infrastructure, directory: Path) -> None:
        self._parts = parts
        self._url = parts.endpoints.amqp_url
        self._vhost = quote(parts.endpoints.virtual_host, safe="")
        self._ports = directory / "ports.json"
        self._connection: AbstractConnection | None = None
        self.api = httpx.AsyncClient(base_url=f"{parts.endpoints.rabbitmq_api_url}/api", timeout=10)

    async def close(self) -> None:
        await self.api.aclose()
        if self._connection is not None:
            await self._connection.close()

    async def ready(self) -> None:
        """Returns once the broker serves. Raises TimeoutError."""
        async with asyncio.timeout(90):
            while True:
                try:
                    await asyncio.to_thread(self._parts.broker.open)
                except httpx.HTTPError:
                    await asyncio.sleep(0.2)
                else:
                    return

    async def lengths(self, queues: Iterable[str]) -> dict[str, int]:
        """Messages that wait in each queue; what a consumer holds unacked is not among them."""
        async with self._channel(10) as channel:
            found = {name: await channel.declare_queue(name, passive=True) for name in queues}
            return {name: queue.declaration_result.message_count or 0 for name, queue in found.items()}

    async def put(self, queue: str, body: bytes, *, message_id: str, content_type: str) -> None:
        """Puts one message into a queue, past the exchange; raises where the broker refuses it."""
        async with self._channel(30) as channel:
            message = aio_pika.Message(
                body,
                message_id=message_id,
                content_type=content_type,
                delivery_mode=aio_pika.DeliveryMode.PERSISTENT,
            )
            await channel.default_exchange.publish(message, routing_key=queue)

    async def delete_queue(self, name: str) -> None:
        """What no service has the right to do."""
        (await self.api.delete(f"/queues/{self._vhost}/{name}")).raise_for_status()

    async def close_connections(self) -> int:
        """Ends every service's; how many these were."""
        found = (await self.api.get("/connections")).raise_for_status().json()
        services = {service.name for service in SERVICES}
        ours = [each["name"] for each in found if each.get("user") in services]
        for name in ours:
            await self.api.delete(f"/connections/{quote(name, safe='')}")  # one that is gone by now is no failure
        return len(ours)

    async def delete_bindings(self, queue: str) -> int:
        """Takes the queue off the exchange of events; how many bindings there were."""
        path = f"/bindings/{self._vhost}/e/events/q/{queue}"
        found = (await self.api.get(path)).raise_for_status().json()
        for binding in found:
            (await self.api.delete(f"{path}/{quote(binding['properties_key'], safe='')}")).raise_for_status()
        return len(found)

    async def is_whole(self, queue: str, consumers: int) -> bool:
        """Whether the queue is there, hears events, and so many consume it."""
        try:
            async with self._channel(10) as channel:
                found = await channel.declare_queue(queue, passive=True)
        except ConnectionError:
            return False
        bound = (await self.api.get(f"/bindings/{self._vhost}/e/events/q/{queue}")).json()
        return (found.declaration_result.consumer_count or 0) >= consumers and bool(bound)

    async def control(self, *words: str) -> str:
        """rabbitmqctl's answer; its own node listens on loopback only."""
        port = str(ports.allocate(self._ports, ["rabbitmqctl"], in_use=True)["rabbitmqctl"])
        environment = self._parts.broker.environment() | {
            "PATH": os.environ["PATH"],
            "RABBITMQ_CTL_DIST_PORT_MIN": port,
            "RABBITMQ_CTL_DIST_PORT_MAX": port,
            "RABBITMQ_CTL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
        }
        process = await asyncio.create_subprocess_exec(
            str(programs.rabbitmq().with_name("rabbitmqctl")),
            *("--node", NODE),
            *words,
            env=environment,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output = (await process.communicate())[0].decode()
        if process.returncode:
            raise RuntimeError(f"rabbitmqctl {' '.join(words)}: {output}")
        return output

    @asynccontextmanager
    async def _channel(self, seconds: float) -> AsyncIterator[AbstractChannel]:
        """A channel of the connection, which is dropped where anything goes wrong. Raises ConnectionError."""
        try:
            async with asyncio.timeout(seconds):
                if self._connection is None:
                    self._connection = await aio_pika.connect(self._url, timeout=5, heartbeat=10)
                async with self._connection.channel(on_return_raises=True) as channel:
                    yield channel
        except (*LOST, TimeoutError) as error:
            self._connection = None
            raise ConnectionError(repr(error)) from error


LOST = aio_pika.exceptions.AMQPError, OSError, RuntimeError, StopAsyncIteration, asyncio.InvalidStateError
"""What the library raises where the connection or the channel is gone."""
