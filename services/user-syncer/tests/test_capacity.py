"""Room in a region, without clock or cloud."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from user_syncer.capacity import WAITERS, Capacity


async def test_a_region_is_full_at_its_limit() -> None:
    """And has room again as users are done with; other regions are not concerned."""
    capacity = Capacity(2, patience=0.01)
    capacity.add("here", 1, 2)
    assert (capacity.full(), capacity.has_room("here", 1), capacity.has_room("there", 1)) == ({"here"}, False, True)
    assert not await capacity.room("here", 1)
    async with _turn(capacity, "here", 1):
        assert not capacity.has_room("here", 1)
    assert capacity.has_room("here", 1)


async def test_what_is_taken_ahead_waits_for_its_turn() -> None:
    """Twice as many may be in hand, and no more of them on the cloud at once."""
    capacity = Capacity(1, patience=0, ahead=2)
    capacity.add("here", 1, 1)
    assert (capacity.has_room("here", 1), capacity.full()) == (True, set())
    capacity.add("here", 1, 1)
    assert (capacity.has_room("here", 1), capacity.full()) == (False, {"here"})
    async with _turn(capacity, "here", 1):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), _turn(capacity, "here", 1):
                pytest.fail("two at once")


async def test_who_waits_is_woken_one_by_one() -> None:
    """A chunk that ends makes room for one more, not for all who wait."""
    capacity = Capacity(1, patience=10)
    capacity.add("here", 1, 1)
    taken: list[int] = []

    async def wait(number: int) -> None:
        assert await capacity.room("here", 1)
        capacity.add("here", 1, 1)
        taken.append(number)

    tasks = [asyncio.create_task(wait(number)) for number in range(3)]
    for done in range(4):
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert taken == list(range(done))
        if done < 3:
            async with _turn(capacity, "here", 1):
                pass
    await asyncio.gather(*tasks)


async def test_room_is_reserved_while_a_chunk_is_being_taken() -> None:
    """The one who takes is not in their own way; everybody else sees the region full."""
    capacity = Capacity(3, patience=0)
    with capacity.reserved("here", 1, 5):
        assert capacity.full(besides="here") == set()
        assert capacity.full() == {"here"}
    assert capacity.full() == set()


async def test_where_many_wait_for_room_the_others_are_sent_away_at_once() -> None:
    """So that what stands behind them in the queue comes forward; they are woken as there is room."""
    capacity = Capacity(1, patience=30)
    capacity.add("here", 1, 1)
    waiting = [asyncio.create_task(capacity.room("here", 1)) for _ in range(WAITERS)]
    await asyncio.sleep(0)
    assert not await capacity.room("here", 1)
    assert not any(task.done() for task in waiting)
    async with _turn(capacity, "here", 1):
        pass
    assert await waiting[0]
    for task in waiting:
        task.cancel()


async def test_regions_without_room_have_each_a_part_of_those_who_wait() -> None:
    """Many who wait for one region are no reason to send away who waits for another."""
    capacity = Capacity(1, patience=30)
    capacity.add("here", 1, 1)
    capacity.add("there", 1, 1)
    waiting = [asyncio.create_task(capacity.room("here", 1)) for _ in range(WAITERS)]
    waiting += [asyncio.create_task(capacity.room("there", 1)) for _ in range(WAITERS)]
    await asyncio.sleep(0)
    assert sum(task.done() for task in waiting[:WAITERS]) == 0
    assert sum(task.done() for task in waiting[WAITERS:]) == WAITERS // 2
    for task in waiting:
        task.cancel()


async def test_room_that_nobody_waits_for_is_unused_while_tickets_are_away() -> None:
    """Those that were sent away come back later only; whoever waits in place comes first."""
    capacity = Capacity(1, patience=30)
    assert not capacity.is_unused("here", 1)
    capacity.send_away("here")
    assert (capacity.is_unused("here", 1), capacity.is_unused("there", 1)) == (True, False)
    capacity.add("here", 1, 1)
    assert not capacity.is_unused("here", 1)
    waiting = asyncio.create_task(capacity.room("here", 1))
    await asyncio.sleep(0)
    capacity._in_hand["here"].clear()
    assert not capacity.is_unused("here", 1)
    waiting.cancel()


async def test_tickets_are_back_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is looked for without a ticket for longer than tickets stay away."""
    monkeypatch.setattr("user_syncer.capacity.AWAY", -1.0)
    capacity = Capacity(1, patience=30)
    capacity.send_away("here")
    assert not capacity.is_unused("here", 1)


async def test_a_process_that_stops_has_no_room() -> None:
    """Whoever comes is sent away, and what is in hand goes on."""
    is_stopping = False
    capacity = Capacity(2, patience=0.01, stopping=lambda: is_stopping)
    capacity.send_away("here")
    capacity.add("here", 1, 1)
    is_stopping = True
    assert not await capacity.room("here", 1)
    assert not capacity.is_unused("here", 1)
    async with _turn(capacity, "here", 1):
        pass
    assert capacity.full() == set()


async def test_at_most_the_limit_is_on_the_cloud_at_once() -> None:
    """A chunk larger than the limit goes user by user."""
    capacity = Capacity(2, patience=0)
    capacity.add("here", 1, 5)
    busy = peak = 0

    async def one() -> None:
        nonlocal busy, peak
        async with _turn(capacity, "here", 1):
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


async def test_another_tenant_has_room_in_a_full_region() -> None:
    """For one chunk, until it has its share in hand; the one that fills the region has none meanwhile."""
    capacity = Capacity(4, patience=0)
    capacity.add("here", 1, 50)
    assert (capacity.has_room("here", 1), capacity.has_room("here", 2)) == (False, True)
    capacity.add("here", 2, 1)
    assert capacity.has_room("here", 2)
    capacity.add("here", 2, 1)
    assert not capacity.has_room("here", 2)
    assert capacity.has_room("here", 3)
    capacity.add("here", 3, 2)
    assert not capacity.has_room("here", 3)
    assert capacity.full() == {"here"}


async def test_a_tenant_with_nothing_in_hand_any_more_has_no_share() -> None:
    """Whoever is left has more."""
    capacity = Capacity(6, patience=0)
    for tenant, users in ((1, 2), (2, 1), (3, 9)):
        capacity.add("here", tenant, users)
    assert not capacity.has_room("here", 1)
    async with _turn(capacity, "here", 2):
        pass
    assert capacity.has_room("here", 1)
    assert capacity.full() == {"here"}


async def test_users_of_tenants_take_turns() -> None:
    """Nobody waits for the end of another's large chunk."""
    capacity = Capacity(1, patience=0)
    capacity.add("here", 1, 4)
    capacity.add("here", 2, 2)
    served: list[int] = []

    async def one(tenant: int) -> None:
        async with _turn(capacity, "here", tenant):
            served.append(tenant)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(tenant) for tenant in (1, 1, 1, 1, 2, 2)))
    assert served == [1, 1, 1, 2, 1, 2]  # two of the first tenant's had places before the second one came


async def test_who_is_cancelled_while_waiting_for_a_turn_leaves_no_trace() -> None:
    """Neither in line nor in hand."""
    capacity = Capacity(1, patience=0)
    capacity.add("here", 1, 2)
    async with _turn(capacity, "here", 1):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01), _turn(capacity, "here", 1):
                pytest.fail("two at once")
    assert capacity.has_room("here", 1)
    capacity.add("here", 1, 1)
    async with asyncio.timeout(10), _turn(capacity, "here", 1):
        pass


async def test_who_waits_for_room_is_woken_tenant_by_tenant() -> None:
    """In turn, however many of one tenant came first; who has left is passed over."""
    capacity = Capacity(4, patience=30)
    capacity.add("here", 1, 4)
    capacity.add("here", 2, 4)
    woken: list[int] = []

    async def wait(tenant: int) -> None:
        assert await capacity.room("here", tenant)
        capacity.add("here", tenant, 1)
        woken.append(tenant)

    tasks = [asyncio.create_task(wait(tenant)) for tenant in (1, 1, 1, 2)]
    await asyncio.sleep(0)
    tasks[0].cancel()
    await asyncio.sleep(0)
    for tenant in (1, 1, 2, 2, 2, 2, 1):  # of eight in hand three are left: the first to be fewer than four
        async with _turn(capacity, "here", tenant):
            await asyncio.sleep(0)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    await asyncio.gather(*tasks[1:])
    assert woken[:2] == [1, 2]
    assert sorted(woken) == [1, 1, 2]


async def test_what_waits_to_be_recorded_holds_up_further_turns() -> None:
    """So a kill repeats no more than that, however long a commit takes."""
    capacity = Capacity(1, patience=0, ahead=2)
    for _ in range(2):
        await capacity.stand("here", 1)
        capacity.leave("here", 1)
    assert not capacity.is_held_up("here")
    waiting = asyncio.create_task(_take_turn(capacity, "here", 1))
    await asyncio.sleep(0)
    assert (capacity.is_held_up("here"), waiting.done()) == (True, False)
    with capacity.recording("here"):
        assert not capacity.is_held_up("here")  # it isn't for long
    capacity.recorded("here", 1)
    await asyncio.wait_for(waiting, 10)
    assert not capacity.is_held_up("here")


async def test_more_may_wait_to_be_recorded_where_the_setting_says_so() -> None:
    """For larger portions, at the price of more repeats."""
    capacity = Capacity(1, patience=0, unrecorded=3)
    async with asyncio.timeout(10):
        for _ in range(4):
            await capacity.stand("here", 1)
            capacity.leave("here", 1)
    waiting = asyncio.create_task(_take_turn(capacity, "here", 1))
    await asyncio.sleep(0)
    assert capacity.is_held_up("here")
    capacity.recorded("here", 1)
    await asyncio.wait_for(waiting, 10)


async def test_who_leaves_the_line_for_a_turn_holds_nobody_up() -> None:
    """Its place is the next one's at once: nothing was begun, so nothing is to be recorded."""
    capacity = Capacity(1, patience=0, ahead=2)
    await capacity.stand("here", 1)
    leaving = asyncio.create_task(_take_turn(capacity, "here", 1))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.wait([leaving])
    capacity.leave("here", 1)
    async with asyncio.timeout(10):
        await _take_turn(capacity, "here", 1)


async def _take_turn(capacity: Capacity, region: str, tenant: int) -> None:
    async with _turn(capacity, region, tenant):
        pass


@asynccontextmanager
async def _turn(capacity: Capacity, region: str, tenant: int) -> AsyncIterator[None]:
    """A turn whose outcome is recorded at its end."""
    await capacity.stand(region, tenant)
    try:
        yield
    finally:
        capacity.leave(region, tenant)
    capacity.recorded(region, 1)
