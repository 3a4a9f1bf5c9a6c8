"""One region's HTTP against a server that answers whatever a test wants, byte by byte."""

import asyncio

import pytest
from clouds.counting import counting_calls
from clouds.errors import CloudError, Invalid, ProviderUnavailable, TimeoutUnknown, Transient
from clouds.http import RegionHttp
from clouds.http_testing import (
    EMPTY_500,
    EMPTY_503,
    HEAD,
    OK,
    Script,
    Server,
    cut,
    endless,
    hang,
    region,
    region_at,
    says,
)
from clouds.settings import CloudSettings
from clouds.testing import free_port
from prometheus_client import REGISTRY


async def test_a_safe_call_is_repeated_after_a_gateway_error() -> None:
    """503s are sat out, and every request is counted."""
    server = Server(says(EMPTY_503), says(EMPTY_503), says(OK))
    async with region_at(server) as http:
        with counting_calls() as outer, counting_calls() as calls:
            answer = await http.call("list", "GET", "/users?a=1")
    assert answer.json() == {}
    assert server.requests == ["GET /users?a=1 HTTP/1.1"] * calls.made
    assert calls.made == outer.made == 3


async def test_a_safe_call_is_repeated_after_a_cut() -> None:
    """A read whose connection broke loses nothing by being made again."""
    async with region_at(Server(cut, cut, cut, says(OK))) as http:
        assert (await http.call("list", "GET", "/users")).json() == {}


@pytest.mark.parametrize("script", [says(EMPTY_503), says(EMPTY_500), cut, says(b"HTTP/1.1 200 OK\r\nContent-Le")])
async def test_a_create_without_a_clear_answer_is_unknown_and_not_repeated(script: Script) -> None:
    """It may have had its effect, so the caller has to look first."""
    server = Server(script)
    async with region_at(server, timeout=0.3) as http:
        with pytest.raises(TimeoutUnknown):
            await http.call("create", "POST", "/users", body={})
    assert len(server.requests) == 1


async def test_a_create_that_was_never_sent_is_no_unknown() -> None:
    """Nobody listens: nothing can have happened, and after the repeats it is a Transient."""
    http = RegionHttp(region(f"http://127.0.0.1:{free_port()}"), CloudSettings())
    with pytest.raises(Transient, match="cannot be reached") as raised:
        await http.call("create", "POST", "/users", body={})
    assert not isinstance(raised.value, TimeoutUnknown)
    await http.aclose()


async def test_a_call_given_up_costs_a_try_unless_the_cloud_fails_as_a_whole() -> None:
    """One bad call among good ones is its own affair, however often it is repeated; where others fail too, it waits."""
    fails = [says(EMPTY_503)] * 4
    server = Server(*fails, says(OK), *fails, *fails, says(OK))
    async with region_at(server, breaker_failures=3, breaker_open=0.0) as http:

        async def costs_try() -> bool | None:
            try:
                await http.call("list", "GET", "/users")
            except CloudError as failure:
                return failure.costs_try
            return None

        assert [await costs_try() for _ in range(5)] == [True, None, True, False, None]


async def test_a_hang_ends_at_the_timeout() -> None:
    """A call that hangs is a Transient for a read, after bounded repeats."""
    async with region_at(Server(hang), timeout=0.1) as http:
        with pytest.raises(Transient) as raised:
            await http.call("list", "GET", "/users")
    assert raised.value.code == "cloud_timeout"


@pytest.mark.parametrize(
    "script",
    [
        endless,
        says(HEAD + b"Content-Length: 9999999999\r\n\r\n" + b"x" * 200_000),
        says(HEAD + b"Content-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc"),
    ],
)
async def test_a_huge_endless_or_packed_answer_is_a_bounded_failure(script: Script) -> None:
    """It is given up at the limit, and not asked for again."""
    server = Server(script)
    async with region_at(server, max_body=100_000) as http:
        with pytest.raises(Invalid):
            await http.call("list", "GET", "/users")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "answer", [b"garbage\r\n\r\n", b"HTTP/1.1 999999 ?\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"y" * 99_999]
)
async def test_malformed_http_is_a_bounded_failure(answer: bytes) -> None:
    """Whatever comes instead of HTTP, the failure is one of ours."""
    async with region_at(Server(says(answer)), timeout=0.5, repeats=0) as http:
        with pytest.raises(CloudError):
            await http.call("list", "GET", "/users")


async def test_a_redirect_is_not_followed() -> None:
    """The other address is never called: the answer is a refusal."""
    other = Server(says(OK))
    async with region_at(other) as target:
        location = f"HTTP/1.1 302 Found\r\nLocation: {target.region.url}/x\r\nContent-Length: 0\r\n\r\n".encode()
        async with region_at(Server(says(location))) as http:
            answer = await http.call("list", "GET", "/users")
            with pytest.raises(Invalid, match="redirect"):
                answer.expect("list", 200)
    assert other.requests == []


async def test_a_request_says_where_it_goes_and_what_it_takes() -> None:
    """Below the region's own path, to its host and port; a caller's header goes before ours; nothing compressed."""
    server = Server(says(OK))
    port = free_port()
    listener = await asyncio.start_server(server.connected, "127.0.0.1", port)
    http = RegionHttp(region(f"http://127.0.0.1:{port}/identity/"), CloudSettings())
    await http.call("make", "POST", "/v3/users?a=1", headers={"accept": "text/xml"})
    await http.call("make", "PUT", "/v3/users", body={"a": "\u00fc"})
    await http.call("read", "GET", "/v3/users", headers={"x-auth-token": "t"})
    await http.aclose()
    listener.close()
    ours = [f"host: 127.0.0.1:{port}", "accept-encoding: identity"]
    assert server.requests == [
        f"{request} HTTP/1.1"
        for request in ("POST /identity/v3/users?a=1", "PUT /identity/v3/users", "GET /identity/v3/users")
    ]
    assert server.heads == [
        [*ours, "accept: text/xml", "content-length: 0"],
        [*ours, "accept: application/json", "content-type: application/json", "content-length: 15"],
        [*ours, "accept: application/json", "x-auth-token: t"],
    ]


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/users HTTP/1.1\r\nX: y", {}),
        ("/users?a=b c", {}),
        ("/users\u00fc", {}),
        ("/users", {"x-auth-token": "t\r\nx: y"}),
        ("/users", {"x-auth-token": "t\nx: y"}),
    ],
)
async def test_what_would_be_another_request_is_not_sent(path: str, headers: dict[str, str]) -> None:
    """A cloud's own token or name cannot add a line to our requests."""
    server = Server(says(OK))
    async with region_at(server) as http:
        with pytest.raises(Invalid, match="is not sent"):
            await http.call("list", "GET", path, headers=headers)
    assert server.requests == []


async def test_the_breaker_opens_and_a_probe_closes_it() -> None:
    """Eight failures stop all calls; after a while one probe is let through, and its success lets all through."""
    server = Server(says(EMPTY_500))
    async with region_at(server, repeats=0, breaker_open=0.2) as http:
        for _ in range(8):
            with pytest.raises(Transient):
                await http.call("list", "GET", "/users")
        with pytest.raises(ProviderUnavailable) as parked:
            await http.call("list", "GET", "/users")
        assert parked.value.reason == "breaker"
        assert len(server.requests) == 8
        assert sample("uca_cloud_breaker_state") == 2
        server.scripts[:] = [says(OK)]
        await asyncio.sleep(parked.value.retry_after)
        assert (await http.call("list", "GET", "/users")).status == 200
        assert sample("uca_cloud_breaker_state") == 0


async def test_a_probe_that_breaks_something_of_ours_lets_the_next_one_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it stumbles over: a region that nobody may ask any more would stay away until a restart."""
    server = Server(says(EMPTY_503), says(EMPTY_503), says(OK))

    async def broken(*_: object) -> None:
        raise ZeroDivisionError

    async with region_at(server, breaker_failures=2, breaker_open=0.05, repeats=1) as http:
        with pytest.raises(CloudError):
            await http.call("list", "GET", "/x")
        await asyncio.sleep(0.1)
        with monkeypatch.context() as patch:
            patch.setattr(http._connections, "exchange", broken)
            with pytest.raises(ZeroDivisionError):
                await http.call("list", "GET", "/x")
        assert (await http.call("list", "GET", "/x")).status == 200


async def test_calls_that_hang_beside_an_answered_one_leave_the_breaker_closed() -> None:
    """They began before the answer came, so their end says nothing of the cloud; three in a row would open it."""
    server = Server(hang, hang, hang, says(OK))
    async with region_at(server, timeout=0.3, repeats=0, breaker_failures=3) as http:
        hanging = [asyncio.create_task(http.call("list", "GET", "/users")) for _ in range(3)]
        while len(server.requests) < 3:  # noqa: ASYNC110 - the server's own list
            await asyncio.sleep(0.001)
        await http.call("list", "GET", "/users")
        ends = await asyncio.gather(*hanging, return_exceptions=True)
        assert [type(end) for end in ends] == [Transient] * 3
        assert (await http.call("list", "GET", "/users")).status == 200


async def test_every_request_is_in_the_metrics() -> None:
    """By operation and outcome, with its duration."""
    refused = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"
    async with region_at(Server(says(OK), says(refused), says(EMPTY_500)), repeats=0) as http:
        await http.call("measured", "GET", "/a")
        await http.call("measured", "GET", "/b")
        with pytest.raises(Transient):
            await http.call("measured", "GET", "/c")
    for outcome in ("ok", "refused", "failed"):
        assert sample("uca_cloud_calls_total", operation="measured", outcome=outcome) == 1
    assert sample("uca_cloud_call_seconds_count", operation="measured") == 3


def sample(name: str, **labels: str) -> float | None:
    return REGISTRY.get_sample_value(name, {"provider": "test", "region": "t"} | labels)


async def test_maintenance_sends_nothing() -> None:
    """While an admin says so; afterwards all is as before."""
    server = Server(says(OK))
    async with region_at(server) as http:
        http.set_maintenance(True)
        with pytest.raises(ProviderUnavailable) as parked:
            await http.call("list", "GET", "/users")
        assert (parked.value.reason, server.requests) == ("maintenance", [])
        http.set_maintenance(False)
        assert (await http.call("list", "GET", "/users")).status == 200


async def test_calls_in_flight_are_limited_to_this_replicas_part() -> None:
    """Twelve over three replicas are four here."""
    now, peak, full, release = 0, 0, asyncio.Event(), asyncio.Event()

    async def wait(writer: asyncio.StreamWriter) -> None:
        nonlocal now, peak
        now, peak = now + 1, max(peak, now + 1)
        if peak == 4:
            full.set()
        await release.wait()
        now -= 1
        writer.write(OK)

    async with region_at(Server(wait), replicas=3) as http:
        calls = [asyncio.create_task(http.call("list", "GET", "/users")) for _ in range(20)]
        await full.wait()
        release.set()
        await asyncio.gather(*calls)
    assert peak == 4
