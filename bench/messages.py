"""Counts the messages that the broker takes for one project, by the broker's own tracer."""

import asyncio
from typing import Any

import aio_pika
import httpx

from bench.workloads import Side, one, settled

PROJECTS = 5


async def per_project(side: Side, db: Any) -> float:
    """Messages published for a project of 20 users, each copy to each exchange counted once."""
    endpoints = side.ground.parts.endpoints
    url = endpoints.amqp_url.rpartition("/")[0] + f"/{side.virtual_host}"
    await settled(side, db)
    connection = await aio_pika.connect(url)
    seen = 0

    async def count(_: aio_pika.abc.AbstractIncomingMessage) -> None:
        nonlocal seen
        seen += 1

    async with connection, httpx.AsyncClient(base_url=endpoints.rabbitmq_api_url) as api:
        channel = await connection.channel()
        queue = await channel.declare_queue("", exclusive=True)
        await queue.bind("amq.rabbitmq.trace", "publish.#")
        await queue.consume(count, no_ack=True)
        await api.put(f"/api/vhosts/{side.virtual_host}", json={"tracing": True})
        try:
            client = side.client()
            for _ in range(PROJECTS):
                await one(side, db, client, 20)
            client.close()
            await asyncio.sleep(1)
        finally:
            await api.put(f"/api/vhosts/{side.virtual_host}", json={"tracing": False})
    return seen / PROJECTS
