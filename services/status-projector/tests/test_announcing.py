"""Messages for watchers, which may be lost but never waited for."""

import asyncio

import pytest
from backbone.broker import BrokerUnavailable, Publisher
from backbone.envelope import Message
from prometheus_client import REGISTRY
from status_projector.announcing import Announcer


class Sent(Publisher):
    """Notes what it is to send, and fails the first ``failures`` times."""

    def __init__(self, failures: int = 0) -> None:
        super().__init__("amqp://unused", name="test")
        self.keys: asyncio.Queue[str] = asyncio.Queue()
        self._failures = failures

    async def send_transient(self, message: Message) -> None:
        """Sends nothing."""
        self.keys.put_nowait(message.routing_key)
        if self._failures:
            self._failures -= 1
            raise BrokerUnavailable("away")


def dropped() -> float:
    """Messages lost so far."""
    return REGISTRY.get_sample_value("uca_status_changed_dropped_total") or 0


@pytest.mark.parametrize(("failures", "lost"), [(0, 1), (2, 3)])
async def test_the_oldest_goes_where_too_many_wait(failures: int, lost: int) -> None:
    """What is dropped is counted, and a broker that is away costs only what was tried meanwhile."""
    sent, before = Sent(failures), dropped()
    announcer = Announcer(sent, limit=3)
    for key in "abcd":
        announcer.offer(Message(key, b"{}"))
    task = asyncio.create_task(announcer.run())
    assert [await sent.keys.get() for _ in "bcd"] == ["b", "c", "d"]
    announcer.offer(Message("e", b"{}"))
    assert await sent.keys.get() == "e"
    task.cancel()
    assert dropped() == before + lost
