"""Places and lines, without clock or cloud. Nobody's patience ends in a test that does not wait for it."""

import asyncio
from collections.abc import Sequence
from contextlib import AsyncExitStack

from backbone.retries import Snooze
from backbone.shares import Shares, Tenant

LONG = 3600


class Region:
    """A region all of whose places are taken, and what becomes of those who ask for one now."""

    def __init__(self, shares: Shares, name: str) -> None:
        self.shares = shares
        self.name = name
        self.served: list[Tenant] = []
        self.sent_back: list[Tenant] = []
        self._taken: list[AsyncExitStack] = []
        self._tasks: list[asyncio.Task[None]] = []

    async def fill(self, places: int) -> None:
        """Takes so many places, which are free."""
        for _ in range(places):
            place = AsyncExitStack()
            await place.enter_async_context(self.shares.place(self.name, None))
            self._taken.append(place)

    async def ask(self, *tenants: Tenant) -> Sequence[asyncio.Task[None]]:
        """Those who ask, one behind the other; each keeps the place that it gets until :meth:`free`."""
        tasks = [asyncio.create_task(self._ask(tenant)) for tenant in tenants]
        await settled()
        self._tasks += tasks
        return tasks

    async def free(self, places: int = 1) -> None:
        """Those who have had a place for longest are done."""
        for _ in range(places):
            await self._taken.pop(0).aclose()
            await settled()

    async def end(self) -> None:
        """Nobody is left."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.free(len(self._taken))

    async def slow(self) -> None:
        """Lets one stand in line until its patience ends; it leaves then."""
        (vain,) = await self.ask_in_vain(9)
        vain.cancel()
        await settled()
        self.sent_back.clear()

    async def ask_in_vain(self, *tenants: Tenant) -> Sequence[asyncio.Task[None]]:
        """Those whose patience ends at once."""
        self.shares._patience = 0
        tasks = await self.ask(*tenants)
        async with asyncio.timeout(30):
            while not self.shares._lines[self.name].is_slow:
                await settled()
        self.shares._patience = LONG
        return tasks

    async def _ask(self, tenant: Tenant) -> None:
        place = AsyncExitStack()
        try:
            await place.enter_async_context(self.shares.place(self.name, tenant))
        except Snooze:
            self.sent_back.append(tenant)
        else:
            self.served.append(tenant)
            self._taken.append(place)


async def settled() -> None:
    """Everybody who can go on has gone on."""
    for _ in range(5):
        await asyncio.sleep(0)


async def a_full_region(places: int = 1, *, standing: int = 100, name: str = "here") -> Region:
    region = Region(Shares(places, standing, LONG), name)
    await region.fill(places)
    return region


async def test_tenants_take_turns() -> None:
    """Whoever comes behind another's flood is next but one; each tenant's own are served as they came."""
    region = await a_full_region()
    await region.ask(1, 1, 1, 1)
    await region.ask(2, 2)
    await region.ask(None)
    await region.free(7)
    assert region.served == [1, 2, None, 1, 2, 1, 1]
    await region.end()


async def test_of_one_tenant_the_first_to_come_is_served_first() -> None:
    """Turns are between tenants, not within one."""
    region = await a_full_region()
    first, second = await region.ask(1, 1)
    await region.free()
    assert (first.done(), second.done()) == (True, False)
    await region.end()


async def test_a_tenant_that_was_served_is_behind_those_who_were_not() -> None:
    """Coming again does not bring one forward."""
    region = await a_full_region()
    await region.ask(1, 2, 3)
    await region.free()
    await region.ask(1)
    await region.free(3)
    assert region.served == [1, 2, 3, 1]
    await region.end()


async def test_a_place_is_taken_at_once_where_one_is_free() -> None:
    """Nobody stands in line beside an idle place, and other regions' places are others."""
    region = await a_full_region(2)
    await region.ask(1)
    other = Region(region.shares, "there")
    await other.ask(1, 1)
    assert (region.served, other.served) == ([], [1, 1])
    await region.end()
    await other.end()


async def test_whoever_is_cancelled_in_line_takes_no_place_with_it() -> None:
    """The place goes to the next in line, also where the end comes at the same moment."""
    region = await a_full_region()
    first, second, _ = await region.ask(1, 1, 2)
    first.cancel()
    await settled()
    second.cancel()
    await region.free()
    assert region.served == [2]
    await region.end()


async def test_a_place_given_to_who_is_cancelled_goes_on_to_the_next() -> None:
    """Between being given the place and waking up with it, an end may come."""
    region = await a_full_region()
    first, _ = await region.ask(1, 2)
    freeing = asyncio.create_task(region.free())
    await asyncio.sleep(0)
    assert not first.done()
    first.cancel()
    await freeing
    assert (first.cancelled(), region.served) == (True, [2])
    await region.end()


async def test_no_place_is_lost_whoever_is_cancelled_when() -> None:
    """After a flood whose half was cancelled at every moment there may be, all places are free again."""
    region = await a_full_region(3)
    for moment in range(6):
        tasks = await region.ask(*(number % 4 for number in range(12)))
        freeing = asyncio.create_task(region.free(3))
        for _ in range(moment):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await freeing
        await region.end()
        await region.fill(3)
    assert region.sent_back == []
    (late,) = await region.ask(1)
    assert not late.done()
    await region.end()


async def test_a_line_that_moves_is_as_long_as_it_likes() -> None:
    """Sent back, they would leave places idle that they could have had meanwhile."""
    region = await a_full_region(standing=2)
    await region.ask(1, 1, 1, 1, 1)
    assert region.sent_back == []
    await region.end()


async def test_who_stands_for_too_long_makes_the_region_slow() -> None:
    """Then the line is cut to what may stand there, and those who came first keep their places in it."""
    region = await a_full_region(standing=2)
    tasks = await region.ask_in_vain(1, 1, 1, 1)
    assert [task.done() for task in tasks] == [False, False, True, True]
    assert region.sent_back == [1, 1]
    await region.end()


async def test_in_a_slow_region_the_flood_is_sent_back_for_another_tenant() -> None:
    """Whoever has the most gives way, at once; the other stands in line and is next but one."""
    region = await a_full_region(standing=3)
    await region.slow()
    await region.ask(1, 1, 1, 1)
    assert region.sent_back == [1]
    await region.ask(2)
    assert region.sent_back == [1, 1]
    await region.ask(1)
    assert region.sent_back == [1, 1, 1]
    await region.free(2)
    assert region.served == [1, 2]
    await region.end()


async def test_many_tenants_do_not_make_the_line_of_a_slow_region_longer() -> None:
    """With one link of each in line the last to come is sent back."""
    region = await a_full_region(standing=3)
    await region.slow()
    await region.ask(1, 2, 3, 4, 5)
    assert region.sent_back == [4, 5]
    await region.end()


async def test_slow_regions_share_what_may_stand_in_line() -> None:
    """However many of them there are, they hold no more hands; the one with more in line gives way."""
    here = await a_full_region(standing=4)
    there = Region(here.shares, "there")
    await there.fill(1)
    for region in (here, there):
        await region.slow()
    await here.ask(1, 2, 3, 4)
    await there.ask(1, 2, 3)
    assert (here.sent_back, there.sent_back) == ([4, 3], [3])
    await here.end()
    await there.end()


async def test_a_slow_region_leaves_the_others_alone() -> None:
    """A full line in one sends nobody back in another, though many stand there too."""
    here = await a_full_region(standing=2)
    await here.slow()
    await here.ask(1, 1)
    there = Region(here.shares, "there")
    await there.fill(1)
    await there.ask(1, 1, 1)
    assert (here.sent_back, there.sent_back) == ([], [])
    await there.free()
    assert there.served == [1]
    await here.end()
    await there.end()


async def test_in_slow_regions_a_flood_gives_way_before_a_longer_line_of_many_tenants() -> None:
    """Whoever has the most there gives way, in whichever region it is."""
    here = await a_full_region(standing=5)
    there = Region(here.shares, "there")
    await there.fill(1)
    for region in (here, there):
        await region.slow()
    await here.ask(1, 2, 3)
    await there.ask(1, 1)
    await here.ask(4)
    assert (here.sent_back, there.sent_back) == ([], [1])
    await here.end()
    await there.end()


async def test_whoever_got_a_place_in_time_makes_no_region_slow() -> None:
    """Patience is over once it has been rewarded, though its end was near."""
    region = await a_full_region(standing=1)
    region.shares._patience = 0
    served = asyncio.create_task(region._ask(1))
    await asyncio.sleep(0)
    await region.free()
    await served
    region.shares._patience = LONG
    await region.ask(1, 1, 1)
    assert (region.served, region.sent_back) == ([1], [])
    await region.end()


async def test_a_region_is_slow_no_more_once_nobody_stands_in_its_line() -> None:
    """It keeps up with what is asked of it again."""
    region = await a_full_region(standing=1)
    await region.slow()
    await region.ask(1)
    await region.free(2)
    await region.fill(1)
    await region.ask(1, 1, 1)
    assert region.sent_back == []
    await region.end()


async def test_a_region_stays_slow_while_somebody_stands_in_its_line() -> None:
    """Some progress is not enough: what stands there still would hold as many hands as before."""
    region = await a_full_region(standing=2)
    await region.slow()
    await region.ask(1, 1)
    await region.free()
    await region.ask(1, 1)
    assert region.sent_back == [1]
    await region.end()
