"""What holds for every route."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest
from backbone.away import DatabaseUnavailable
from backbone.context import current
from project_api import status
from project_api.directory import tenants
from project_api.parts import Parts
from structlog.testing import capture_logs

Bearer = Callable[..., dict[str, str]]


async def test_errors_have_one_body_for_both_worlds(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """An unknown address is a 404 with RFC 9457's members beside the frontend's, as application/json."""
    answer = await client.get("/admin/v1/nothing", headers=bearer())
    assert answer.status_code == 404
    assert answer.headers["content-type"] == "application/json"
    words = "There is nothing at this address."
    assert answer.json() == {
        "type": "about:blank",
        "title": "Not Found",
        "status": 404,
        "detail": words,
        "success": False,
        "message": words,
    }


async def test_another_method_is_a_405(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """It says which methods there are, by all routes of the address."""
    answer = await client.request("OPTIONS", "/admin/v1/users/1", headers=bearer())
    assert (answer.status_code, answer.json()["success"]) == (405, False)
    assert answer.headers["allow"] == "DELETE, GET, PATCH"
    answer = await client.request("OPTIONS", "/admin/v1/projects/provision-simulated", headers=bearer())
    assert answer.headers["allow"] == "POST", "not those of a project of that name"


@pytest.mark.parametrize(
    ("broken", "path"),
    [((tenants, "search"), "/admin/v1/tenants"), ((status, "answer"), "/admin/v1/projects/F1/status")],
    ids=["in a route", "before the framework"],
)
async def test_our_own_error_tells_nothing_outside(
    client: httpx.AsyncClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch, broken: tuple[Any, str], path: str
) -> None:
    """A 500 has no trace and no word of the cause, and the log has both."""

    async def fail(*_: object) -> None:
        raise RuntimeError("a secret detail")

    monkeypatch.setattr(*broken, fail)
    with capture_logs() as logs:
        answer = await client.get(path, headers=bearer())
    assert (answer.status_code, answer.json()["success"]) == (500, False)
    assert "secret" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"
    [failed] = [each for each in logs if each["event"] == "request.failed"]
    assert isinstance(failed["exc_info"], RuntimeError)


async def test_a_database_that_is_away_is_a_503(
    client: httpx.AsyncClient, bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With the time to come again."""

    async def away(*_: object) -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(tenants, "search", away)
    answer = await client.get("/admin/v1/tenants", headers=bearer())
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
    assert not answer.json()["success"]


async def test_a_trace_goes_on_and_comes_back(client: httpx.AsyncClient) -> None:
    """A caller's traceparent names the request; without one, or with nonsense, a new trace begins."""
    trace = "ab" * 16
    given = await client.get("/healthz", headers={"traceparent": f"00-{trace}-{'cd' * 8}-01"})
    assert given.headers["x-request-id"] == trace
    for headers in ({}, {"traceparent": "00-nonsense"}, {"traceparent": f"00-{'0' * 32}-{'cd' * 8}-01"}):
        made = (await client.get("/healthz", headers=headers)).headers["x-request-id"]
        assert len(made) == 32
        assert made not in (trace, "0" * 32)
    assert current.get().traceparent is None


async def test_every_answer_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    """Refusals too, where the route does not say otherwise."""
    refused = await client.get("/admin/v1/users")
    assert refused.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
    assert refused.headers["cache-control"] == "no-store"
    assert refused.headers["x-frame-options"] == "DENY"


async def test_probes_say_what_is_waited_for(client: httpx.AsyncClient, parts: Parts) -> None:
    """Ready means that every condition holds; alive needs none of them."""
    assert (await client.get("/healthz")).status_code == 200
    there = False
    parts.health.require("a thing of this test", lambda: there)
    waiting = await client.get("/readyz")
    assert (waiting.status_code, waiting.text) == (503, "waiting for a thing of this test\n")
    there = True
    assert (await client.get("/readyz")).status_code == 200


async def test_metrics_name_routes_and_not_addresses(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """However many users are asked for, it is one route."""
    for user in (900001, 900002):
        await client.get(f"/admin/v1/users/{user}", headers=bearer())
        await client.get(f"/tenant/v1/admin/projects/F{user}/status", headers=bearer())
    text = (await client.get("/metrics")).text
    assert 'uca_http_requests_total{method="GET",route="/admin/v1/users/{user_id:int}",status="404"}' in text
    assert 'route="/tenant/v1/admin/projects/{identifier}/status"' in text
    assert not [line for line in text.splitlines() if "90000" in line.rpartition(" ")[0]]
