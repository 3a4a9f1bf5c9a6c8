"""Nothing is sent to a cloud once the lease is lost, however long a call waited."""

import asyncio

import pytest
from clouds.errors import RateLimited
from clouds.guard import Guard, guarded_by
from clouds.http_testing import EMPTY_503, OK, Server, limited, region_at, says


class LeaseLost(Exception):
    """As a guard raises it."""


def lost_after(asked: int) -> Guard:
    """The lease is lost once it was asked for so often."""
    left = [None] * asked

    def guard() -> None:
        if not left:
            raise LeaseLost
        left.pop()

    return guard


async def test_nothing_is_repeated_after_the_lease_is_lost() -> None:
    """A newer run may have written the contrary meanwhile."""
    server = Server(says(EMPTY_503), says(OK))
    async with region_at(server) as http:
        with guarded_by(lost_after(1)), pytest.raises(LeaseLost):
            await http.call("set_enabled", "PATCH", "/projects/p", body={})
    assert len(server.requests) == 1


async def test_what_waits_for_its_turn_is_not_sent_after_the_lease_is_lost() -> None:
    """Behind a call that hangs, say: the guard is asked once there is room."""
    begun, release, lost = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        begun.set()
        await release.wait()
        writer.write(OK)

    def guard() -> None:
        if lost.is_set():
            raise LeaseLost

    async with region_at(server := Server(wait), max_in_flight=1) as http:
        with guarded_by(guard):
            calls = [asyncio.create_task(http.call("revoke_role", "DELETE", "/users/u")) for _ in range(2)]
        await begun.wait()
        lost.set()
        release.set()
        first, second = await asyncio.gather(*calls, return_exceptions=True)
    assert not isinstance(first, BaseException)
    assert isinstance(second, LeaseLost)
    assert len(server.requests) == 1


async def test_a_rate_limit_that_is_sat_out_may_outlast_the_lease() -> None:
    """The guard is asked again once it is over."""
    server = Server(says(limited("0.05")), says(OK))
    async with region_at(server, repeats=0) as http:
        with pytest.raises(RateLimited):
            await http.call("list", "GET", "/users")
        with guarded_by(lost_after(1)), pytest.raises(LeaseLost):
            await http.call("revoke_role", "DELETE", "/users/u")
        assert len(server.requests) == 1
        assert (await http.call("list", "GET", "/users")).status == 200
