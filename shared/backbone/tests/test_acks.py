"""Acks in few frames, and no delivery acknowledged before it is done."""

import pytest
from backbone.deliveries import Acks, Delivery
from backbone.envelope import BATCH, Message


class Channel:
    """Notes frames, and what the broker would still hold."""

    def __init__(self, deliveries: int) -> None:
        self.is_closed = False
        self.frames: list[tuple[int, bool]] = []
        self.held = set(range(1, deliveries + 1))

    async def basic_ack(self, delivery_tag: int, multiple: bool = False, wait: bool = True) -> None:
        """As the broker does: a tag that it doesn't hold would end the channel."""
        assert delivery_tag in self.held
        self.frames.append((delivery_tag, multiple))
        self.held -= {each for each in self.held if each <= delivery_tag} if multiple else {delivery_tag}


async def told(acks: Acks, *tags: int) -> None:
    for tag in tags:
        acks.done(tag)
    await acks.sent()


async def test_what_is_done_in_one_turn_is_one_frame() -> None:
    """In whatever order it was done."""
    channel = Channel(5)
    await told(Acks(channel), 3, 1, 2, 5, 4)
    assert channel.frames == [(5, True)]


async def test_nothing_in_hand_is_acknowledged_with_what_came_after_it() -> None:
    """A slow delivery holds up no ack behind it, and gets its own once it is done."""
    channel = Channel(6)
    acks = Acks(channel)
    await told(acks, 1, 3, 4)
    assert channel.held == {2, 5, 6}
    await told(acks, 2)
    assert channel.held == {5, 6}
    await told(acks, 5, 6)
    assert channel.held == set()
    assert len(channel.frames) == 5


@pytest.mark.parametrize("step", [1, 7, 11])
async def test_any_order_ends_with_nothing_held(step: int) -> None:
    """Every tag is acknowledged, none twice."""
    channel = Channel(30)
    acks = Acks(channel)
    for tag in range(30):
        await told(acks, tag * step % 30 + 1)
    assert channel.held == set()


async def test_a_delivery_is_acknowledged_with_the_last_of_its_parts() -> None:
    """Each part is a delivery of its own message, with the headers that all came with."""
    channel = Channel(1)
    acks = Acks(channel)
    whole = Delivery(b"[1, 2]", BATCH, "whole", {"attempt": 1}, "key", acks, 1)
    first, second = whole.parts([Message("key", b"1", id="first"), Message("key", b"2", id="second")])
    assert (first.body, first.message_id, first.content_type) == (b"1", "first", Message("key", b"").content_type)
    assert (second.body, second.message_id, second.headers) == (b"2", "second", {"attempt": 1})
    second.ack()
    await acks.sent()
    assert channel.held == {1}
    first.ack()
    await acks.sent()
    assert channel.held == set()
    channel.is_closed = True
    assert first.is_lost
