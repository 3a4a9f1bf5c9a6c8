"""The service as a process, on a real broker and database."""

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator
from urllib.parse import urlsplit

import aio_pika
import httpx
import pytest
from backbone import topology
from backbone.database import Database
from backbone.envelope import Envelope, pack, unpack
from contracts.events import StatusChanged
from contracts.status import Picture
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from status_projector.facts import Mark
from status_projector.folding import fold_into
from status_projector.tables import Entry
from status_projector.testing import linked, requested, synced, told

NAME = "status-projector"


@pytest.fixture
async def broker(rabbitmq_url: str, rabbitmq_api_url: str) -> AsyncIterator[str]:
    """The administrator's URL of a virtual host of this package's own, with the projector's queues."""
    host = "status-projector-test"
    admin = urlsplit(rabbitmq_url)
    given = topology.definitions({NAME: SUBSCRIPTIONS[NAME]}, PUBLICATIONS, {}, vhost=host)
    everything = {"configure": ".*", "write": ".*", "read": ".*"}
    async with httpx.AsyncClient(base_url=f"{rabbitmq_api_url}/api", timeout=60, trust_env=False) as api:
        (await api.put(f"/vhosts/{host}")).raise_for_status()
        (await api.put(f"/permissions/{host}/{admin.username}", json=everything)).raise_for_status()
        (await api.post("/definitions", json=given)).raise_for_status()
        yield admin._replace(path=f"/{host}").geturl()
        (await api.delete(f"/vhosts/{host}")).raise_for_status()


def environment(database: Database, broker: str) -> dict[str, str]:
    """What the process is told."""
    return {**os.environ, "DATABASE_URL": database.url, "AMQP_URL": broker, "LOG_LEVEL": "WARNING"}


async def start(*arguments: str, env: dict[str, str]) -> asyncio.subprocess.Process:
    """The service, or its subcommand."""
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "status_projector", *arguments, env=env, stderr=asyncio.subprocess.PIPE
    )


async def test_events_become_a_read_model_and_news(database: Database, broker: str) -> None:
    """From the work queue to the row, and to whoever watches; SIGTERM ends it in order."""
    story: list[Envelope] = list(told([requested(), linked(), synced(1), synced(2)]))
    service = await start(env=environment(database, broker))
    connection = await aio_pika.connect(broker)
    try:
        channel = await connection.channel()
        watching = await channel.declare_queue(exclusive=True)
        await watching.bind("events", StatusChanged.routing_key)
        exchange = await channel.get_exchange("events", ensure=False)
        for message in pack(story):
            body = aio_pika.Message(message.body, message_id=message.id, content_type=message.content_type)
            await exchange.publish(body, routing_key=message.routing_key)
        async with asyncio.timeout(30), watching.iterator() as deliveries:
            async for each in deliveries:
                news = unpack(each.body, each.content_type, {StatusChanged.__name__: StatusChanged})
                if Picture.model_validate_json(news[-1].data.picture).status == "active":
                    break
    finally:
        await connection.close()
        service.terminate()
        assert await service.wait() == 0
    row = (await database.execute("SELECT version, status, picture::text FROM project_status")).one()
    assert (row.version, row.status, json.loads(row.picture)["progress"]["percent"]) == (4, "active", 100)


async def test_rebuild_folds_the_log_again(database: Database) -> None:
    """Rows that were lost or damaged are as they were."""
    async with database.transaction() as tx:
        story = told([requested(users=1), linked(), synced(1)])
        await fold_into(tx, [Entry(e.data, Mark(e.time, e.id), e.data.model_dump_json()) for e in story])
        await tx.execute("DELETE FROM user_status")
        await tx.execute("UPDATE project_status SET status = 'failed', facts = NULL, picture = NULL, run = 9")
        await tx.execute("INSERT INTO project_status (identifier) VALUES ('without events')")
    service = await start("rebuild", env=environment(database, "amqp://unused"))
    assert await service.wait() == 0
    async with database.reading() as reading:
        rows = (await reading.execute("SELECT identifier, run, status FROM project_status")).all()
        users = (await reading.execute("SELECT count(*) FROM user_status")).scalar_one()
    assert ([tuple(row) for row in rows], users) == ([("F81401", 1, "active")], 1)


@pytest.mark.parametrize(
    ("arguments", "env", "words"),
    [
        (["nonsense"], {"DATABASE_URL": "postgresql://x", "AMQP_URL": "amqp://x"}, "usage: status-projector [rebuild]"),
        ([], {"DATABASE_URL": "postgresql://x", "AMQP_URL": "amqp://x", "SLOW_SECONDS": "soon"}, "SLOW_SECONDS"),
    ],
)
async def test_a_mistake_is_named(arguments: list[str], env: dict[str, str], words: str) -> None:
    """On standard error, and the process ends with 2."""
    service = await start(*arguments, env={**os.environ, **env})
    _, errors = await service.communicate()
    assert service.returncode == 2
    assert words in errors.decode()
