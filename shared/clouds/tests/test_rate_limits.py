"""After a 429 a region is called when it said, and carefully."""

import asyncio
from time import monotonic

import pytest
from clouds.errors import ProviderUnavailable, RateLimited
from clouds.http_testing import OK, Server, limited, region_at, says


async def test_a_short_rate_limit_is_sat_out() -> None:
    """Also for a create, since a 429 says that nothing was done; and no sooner than asked."""
    server = Server(says(limited("1")), says(OK))
    async with region_at(server) as http:
        started = monotonic()
        assert (await http.call("create", "POST", "/users", body={})).status == 200
        assert monotonic() - started >= 1.0


async def test_after_a_rate_limit_calls_go_one_by_one() -> None:
    """Those that waited for its end would run into it together otherwise; the others of the region come behind."""
    now = peak = 0

    async def answers(writer: asyncio.StreamWriter) -> None:
        nonlocal now, peak
        now, peak = now + 1, max(peak, now + 1)
        await asyncio.sleep(0)  # another call could begin meanwhile
        await asyncio.sleep(0)
        now -= 1
        writer.write(OK)

    server = Server(says(limited("1")), answers)
    async with region_at(server) as http:
        await http.call("create", "POST", "/users", body={})
        await asyncio.gather(*(http.call("list", "GET", "/users") for _ in range(6)))
    assert (len(server.requests), peak) == (8, 1)


async def test_after_a_rate_limit_what_belongs_together_goes_without_others_between() -> None:
    """Else several users' calls would all come half-way before the next 429, and be begun anew, for ever."""
    server = Server(says(limited("1")), says(OK))
    async with region_at(server) as http:
        await http.call("create", "POST", "/users", body={})

        async def user(name: str) -> None:
            async with http.turn():
                for step in range(3):
                    await http.call("step", "GET", f"/{name}/{step}")

        await asyncio.gather(user("a"), http.call("list", "GET", "/users"), user("b"))
    paths = [request.split()[1] for request in server.requests[2:]]
    assert paths == ["/a/0", "/a/1", "/a/2", "/users", "/b/0", "/b/1", "/b/2"]


async def test_a_long_rate_limit_parks_all_work_of_the_region() -> None:
    """The first caller hears RateLimited, the next ones ProviderUnavailable without a request."""
    server = Server(says(limited("60")))
    async with region_at(server) as http:
        with pytest.raises(RateLimited) as limit:
            await http.call("list", "GET", "/users")
        assert limit.value.retry_after == 60
        with pytest.raises(ProviderUnavailable) as parked:
            await http.call("list", "GET", "/users")
    assert parked.value.reason == "rate"
    assert 50 < parked.value.retry_after <= 60
    assert len(server.requests) == 1
