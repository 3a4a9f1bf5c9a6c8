"""What is refused to keep the service up."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

import httpx
import pytest
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts
from project_api.parts import Parts
from project_api.testing import World
from project_api.web import limits
from project_api.web.errors import Problem
from project_api.web.limits import REMEMBERED, InFlight, RateLimit
from prometheus_client import REGISTRY

Bearer = Callable[..., dict[str, str]]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    """At some time."""
    return Clock()


def taken(limit: RateLimit, key: object, times: int) -> int:
    """How many of so many requests get through before one doesn't."""
    passed = 0
    with suppress(Problem):
        while passed < times:
            limit.take(key)
            passed += 1
    return passed


def test_a_flood_gets_no_more_than_its_rate(clock: Clock) -> None:
    """A burst of two seconds, then as many a second as the rate."""
    limit = RateLimit("address", 10, clock)
    assert taken(limit, "a", 100) == 20
    clock.now += 1
    assert taken(limit, "a", 100) == 10


def test_one_flood_takes_nothing_from_another(clock: Clock) -> None:
    """Each key has a bucket of its own."""
    limit = RateLimit("address", 10, clock)
    taken(limit, "a", 100)
    assert taken(limit, "b", 5) == 5


def test_a_refusal_says_when_to_come_again(clock: Clock) -> None:
    """In whole seconds, after which a request gets through."""
    limit = RateLimit("tenant", 0.25, clock)
    limit.take("a")
    with pytest.raises(Problem) as refusal:
        limit.take("a")
    clock.now += int(refusal.value.headers["Retry-After"])
    limit.take("a")


def test_buckets_are_bounded(clock: Clock) -> None:
    """However many addresses come, memory doesn't grow with them."""
    limit = RateLimit("address", 10, clock)
    for key in range(REMEMBERED + 100):
        limit.take(key)
    assert len(limit._buckets) == REMEMBERED


async def test_who_waits_gives_their_place_back() -> None:
    """Long polls don't keep others out."""
    places = InFlight(1)
    places.enter()
    async with places.waiting():
        assert REGISTRY.get_sample_value("uca_http_in_flight") == 0
        places.enter()
        places.leave()
    assert REGISTRY.get_sample_value("uca_http_in_flight") == 1
    with pytest.raises(Problem) as refusal:
        places.enter()
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "1"})


async def test_a_tenants_flood_is_its_own_alone(limited: httpx.AsyncClient, world: World) -> None:
    """All of a tenant's people share its limit: 429 with Retry-After beyond it. Other tenants and admins get none."""
    flooding, quiet = await world.tenant(), await world.tenant()

    async def answers(headers: dict[str, str], times: int) -> list[httpx.Response]:
        return [await limited.get("/api/v1/business/auth/user", headers=headers) for _ in range(times)]

    flood = await answers(world.tenant_admin(flooding), 2) + await answers(world.member(flooding), 2)
    others = await answers(world.member(quiet), 1) + await answers(world.admin, 4)
    assert [each.status_code for each in flood] == [200, 429, 429, 429]
    assert all(1 <= int(each.headers["Retry-After"]) <= 100 for each in flood[1:])
    assert flood[-1].json()["success"] is False
    assert {each.status_code for each in others} == {200}


async def test_a_body_that_is_too_large_is_a_413(client: httpx.AsyncClient, parts: Parts, bearer: Bearer) -> None:
    """By what it says of its length, and by what comes where it says nothing."""
    large = b"x" * (parts.settings.max_body_bytes + 1)
    headers = {**bearer(), "Content-Type": "application/json"}
    declared = await client.post("/admin/v1/tenants", content=large, headers=headers)

    async def chunks() -> AsyncIterator[bytes]:
        for start in range(0, len(large), 65536):
            yield large[start : start + 65536]

    chunked = await client.post("/admin/v1/tenants", content=chunks(), headers=headers)
    for answer in (declared, chunked):
        assert (answer.status_code, answer.json()["success"]) == (413, False)


async def test_a_body_that_is_too_slow_is_a_408(
    client: httpx.AsyncClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who sends a byte now and then keeps nobody's place."""
    monkeypatch.setattr(limits, "BODY_SECONDS", 0.05)

    async def never_whole() -> AsyncIterator[bytes]:
        yield b"{"
        await asyncio.Event().wait()

    headers = {**bearer(), "Content-Type": "application/json"}
    answer = await client.post("/admin/v1/tenants", content=never_whole(), headers=headers)
    assert (answer.status_code, answer.json()["success"]) == (408, False)


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_a_body_that_is_no_json_is_a_415(client: httpx.AsyncClient, bearer: Bearer, content_type: str) -> None:
    """What a form of another site could send is not even read."""
    headers = {**bearer(), "Content-Type": content_type}
    answer = await client.post("/admin/v1/tenants", content=b'{"name": "Form"}', headers=headers)
    assert (answer.status_code, answer.json()["success"]) == (415, False)


async def test_a_body_that_is_broken_json_is_a_422(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """It says so in words."""
    headers = {**bearer(), "Content-Type": "application/json"}
    answer = await client.post("/admin/v1/tenants", content=b'{"name":', headers=headers)
    assert (answer.status_code, answer.json()["message"]) == (422, "The body is not valid JSON.")


@pytest.mark.parametrize("path", ["/admin/v1/users?search=a%00", "/admin/v1/projects/a%00b"])
async def test_a_nul_in_an_address_is_a_400(client: httpx.AsyncClient, bearer: Bearer, path: str) -> None:
    """The database could not hold it."""
    assert (await client.get(path, headers=bearer())).status_code == 400


async def test_a_number_without_end_in_an_address_is_a_400(
    app: FastAPI, client: httpx.AsyncClient, bearer: Bearer
) -> None:
    """At every route that takes one, for Python reads no more than so many digits, however few it may be set to."""
    assert sys.int_info.str_digits_check_threshold > limits.LONGEST_PATH
    numbered = {route.path for route in iter_route_contexts(app.routes) if route.path and ":int}" in route.path}
    assert "/admin/v1/users/{user_id:int}" in numbered
    for path in numbered:
        answer = await client.get(re.sub("{.*?}", "9" * 5000, path), headers=bearer())
        assert (answer.status_code, answer.json()["success"]) == (400, False), path
