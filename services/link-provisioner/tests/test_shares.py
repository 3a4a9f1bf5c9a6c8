import asyncio
from contextlib import AsyncExitStack

import pytest
from backbone.retries import Snooze
from link_provisioner.shares import Shares


async def test_a_full_region_sends_back_what_waits_in_vain() -> None:
    """And leaves the other regions alone."""
    shares = Shares(2, patience=0.02)
    async with shares.place("slow"), shares.place("slow"):
        with pytest.raises(Snooze, match="slow"):
            await shares.place("slow").__aenter__()
        async with shares.place("quick"):
            pass


async def test_a_region_known_as_slow_is_not_waited_for() -> None:
    """The second one in vain is sent back at once: no part of its patience is spent."""
    shares = Shares(1, patience=30)
    shares._slow_until["slow"] = float("inf")
    async with shares.place("slow"):
        with pytest.raises(Snooze):
            await shares.place("slow").__aenter__()


async def test_a_place_that_is_free_is_taken_in_a_slow_region_too() -> None:
    """Slow is no reason to let places lie idle."""
    shares = Shares(1, patience=30)
    shares._slow_until["slow"] = float("inf")
    for _ in range(3):
        async with shares.place("slow"):
            pass


async def test_a_place_that_becomes_free_goes_to_who_waits() -> None:
    """In a region that is quick enough nobody is sent back."""
    shares = Shares(1, patience=30)
    async with AsyncExitStack() as first:
        await first.enter_async_context(shares.place("here"))
        waiting = asyncio.create_task(shares.place("here").__aenter__())
        await asyncio.sleep(0)
        assert not waiting.done()
        await first.aclose()
        await waiting
