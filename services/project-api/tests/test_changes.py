"""News for who waits, over the real broker."""

import asyncio
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from urllib.parse import urlsplit

import httpx
import pytest
from backbone import topology
from backbone.broker import Publisher
from backbone.context import Context
from backbone.envelope import Message, pack, seal
from contracts.events import StatusChanged
from contracts.subscriptions import SUBSCRIPTIONS
from project_api.changes import LOOK_SECONDS_ALONE, PREFETCH, Changes


@pytest.fixture(scope="module")
async def broker(rabbitmq_url: str, rabbitmq_api_url: str) -> AsyncIterator[str]:
    """A virtual host of these tests alone, with every exchange and queue."""
    name = f"changes-{secrets.token_hex(4)}"
    async with httpx.AsyncClient(base_url=f"{rabbitmq_api_url}/api", timeout=30) as api:
        (await api.put(f"/vhosts/{name}")).raise_for_status()
        definitions = topology.definitions(SUBSCRIPTIONS, {}, {}, vhost=name)
        (await api.post("/definitions", json=definitions)).raise_for_status()
        yield urlsplit(rabbitmq_url)._replace(path=f"/{name}").geturl()
        await api.delete(f"/vhosts/{name}")


def news(identifier: str) -> Message:
    event = StatusChanged(identifier=identifier, run=1, read_version=2, tenant_id=5, picture="{}")
    return pack([seal(event, source="test", time=datetime.now(UTC), context=Context())])[0]


@pytest.mark.usefixtures("news_alone")
async def test_every_replica_hears_it(broker: str) -> None:
    """Each has a queue of its own; waiters of that project wake, and listeners are given the event."""
    publisher = Publisher(broker, name="test")
    replicas = [Changes(broker, service="project-api", instance=f"test-{number}") for number in range(2)]
    tasks = [asyncio.create_task(each.run()) for each in replicas]
    heard: asyncio.Queue[str] = asyncio.Queue()
    try:
        for each in replicas:
            each.listen(lambda event, _: heard.put_nowait(event.identifier), lambda: None)
            await each.consuming.wait()
        with replicas[0].watch("F1") as watch:
            waiting = asyncio.create_task(watch.next(60))
            await publisher.send_transient(news("F1"))
            await asyncio.wait_for(waiting, 10)
        assert [await asyncio.wait_for(heard.get(), 10) for _ in replicas] == ["F1", "F1"]
    finally:
        for each in replicas:
            each.stop()
        await asyncio.gather(*tasks)
        await publisher.close()


async def test_a_stream_of_news_does_not_run_dry(broker: str) -> None:
    """More than the broker lets a consumer hold unacknowledged: news needs no acknowledgement."""
    publisher = Publisher(broker, name="test")
    changes = Changes(broker, service="project-api", instance="test-stream")
    heard: asyncio.Queue[str] = asyncio.Queue()
    changes.listen(lambda event, _: heard.put_nowait(event.identifier), lambda: None)
    task = asyncio.create_task(changes.run())
    expected = [f"S{number}" for number in range(PREFETCH + 50)]
    try:
        await changes.consuming.wait()
        for identifier in expected:
            await publisher.send_transient(news(identifier))
        assert [await asyncio.wait_for(heard.get(), 30) for _ in expected] == expected
    finally:
        changes.stop()
        await task
        await publisher.close()


@pytest.mark.usefixtures("news_alone")
async def test_what_makes_no_sense_is_dropped(broker: str) -> None:
    """A message that is no StatusChanged stops nothing: the next one is heard."""
    publisher = Publisher(broker, name="test")
    changes = Changes(broker, service="project-api", instance="test-nonsense")
    task = asyncio.create_task(changes.run())
    try:
        await changes.consuming.wait()
        with changes.watch("F2") as watch:
            await publisher.send_transient(Message(StatusChanged.routing_key, b"nonsense"))
            waiting = asyncio.create_task(watch.next(60))
            await publisher.send_transient(news("F2"))
            await asyncio.wait_for(waiting, 10)
    finally:
        changes.stop()
        await task
        await publisher.close()


async def test_without_a_broker_waiters_look_each_second(broker: str) -> None:
    """A waiter is let go after the short pause, however long it would wait."""
    changes = Changes(broker, service="project-api", instance="test-alone")
    assert not changes.connected
    with changes.watch("F3") as watch:
        await asyncio.wait_for(watch.next(60), LOOK_SECONDS_ALONE + 10)


async def test_a_change_between_reading_and_waiting_is_not_missed(broker: str) -> None:
    """What happens after a watch was opened ends the wait that begins later."""
    changes = Changes(broker, service="project-api", instance="test-between")
    with changes.watch("F4") as watch:
        changes.notify("F4")
        await asyncio.wait_for(watch.next(60), LOOK_SECONDS_ALONE / 2)
    assert "F4" not in changes._watches
