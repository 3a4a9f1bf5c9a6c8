"""Room in a region, without clock or cloud."""

import asyncio

import pytest
from user_syncer.capacity import WAITERS, Capacity


async def test_a_region_is_full_at_its_limit() -> None:
    """And has room again as users are done with; other regions are not concerned."""
    capacity = Capacity(2, patience=0.01)
    capacity.add("here", 2)
    assert (capacity.full(), capacity.has_room("here"), capacity.has_room("there")) == ({"here"}, False, True)
    assert not await capacity.room("here")
    async with capacity.one_of("here"):
        assert not capacity.has_room("here")
    assert capacity.has_room("here")


async def test_what_is_taken_ahead_waits_for_its_turn() -> None:
    """Twice as many may be in hand, and no more of them on the cloud at once."""
    capacity = Capacity(1, patience=0, ahead=2)
    capacity.add("here", 1)
    assert (capacity.has_room("here"), capacity.full()) == (True, set())
    capacity.add("here", 1)
    assert (capacity.has_room("here"), capacity.full()) == (False, {"here"})
    async with capacity.one_of("here"):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), capacity.one_of("here"):
                pytest.fail("two at once")


async def test_who_waits_is_woken_one_by_one() -> None:
    """A chunk that ends makes room for one more, not for all who wait."""
    capacity = Capacity(1, patience=10)
    capacity.add("here", 1)
    taken: list[int] = []

    async def wait(number: int) -> None:
        assert await capacity.room("here")
        capacity.add("here", 1)
        taken.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(3)]
    for done in range(4):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert taken == list(range(done))
        if done < 3:
            async with capacity.one_of("here"):
                pass
    await asyncio.gather(*tasks)


async def test_room_is_reserved_while_a_chunk_is_being_taken() -> None:
    """The one who takes is not in their own way; everybody else sees the region full."""
    capacity = Capacity(3, patience=0)
    with capacity.reserved("here", 5):
        assert capacity.full(besides="here") == set()
        assert capacity.full() == {"here"}
    assert capacity.full() == set()


async def test_a_slow_region_sends_most_away_at_once() -> None:
    """So that what stands behind them in the queue comes forward."""
    capacity = Capacity(1, patience=0.2)
    capacity.add("here", 1)
    assert not await capacity.room("here")
    waiting = [asyncio.create_task(capacity.room("here")) for _ in range(WAITERS + 3)]
    await asyncio.sleep(0)
    assert [task.done() for task in waiting] == [False] * WAITERS + [True] * 3
    async with capacity.one_of("here"):
        pass
    assert any(await asyncio.gather(*waiting))


async def test_at_most_the_limit_is_on_the_cloud_at_once() -> None:
    """A chunk larger than the limit goes user by user."""
    capacity = Capacity(2, patience=0)
    capacity.add("here", 5)
    busy = peak = 0

    async def one() -> None:
        nonlocal busy, peak
        async with capacity.one_of("here"):
            busy += 1
            peak = max(peak, busy)
            await asyncio.sleep(0)
            busy -= 1

    await asyncio.gather(*(one() for _ in range(5)))
    assert peak == 2


def test_a_paused_region_is_so_for_as_long_as_it_asked() -> None:
    """A shorter pause does not cut a longer one."""
    capacity = Capacity(2, patience=0)
    capacity.pause("here", 60)
    capacity.pause("here", 0)
    capacity.pause("there", 0)
    assert capacity.paused() == {"here"}
