import asyncio

import httpx
import pytest
from cloud_simulator.testing import RunningSimulator


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/identity/nothing"), ("PATCH", "/identity/projects/p1"), ("GET", "/aws/iam/"), ("GET", "/")],
)
async def test_unknown_paths_are_a_page_of_the_gateway(api: httpx.AsyncClient, method: str, path: str) -> None:
    """An HTML 404, where a client expects JSON."""
    answer = await api.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html")


async def test_calls_are_counted_by_template(
    simulator: RunningSimulator, api: httpx.AsyncClient, project_id: str, user_id: str
) -> None:
    """A route is named without its prefix and values; the simulator's own paths are not counted."""
    await api.put(f"/identity/projects/{project_id}/users/{user_id}/roles/_member_")
    await api.post("/aws/iam/", data={"Action": "ListAccessKeys"})
    await api.get("/nothing")
    calls = (await simulator.stats())["calls"]
    assert calls["by_route"] == {
        "POST /identity/auth": 1,
        "POST /identity/projects": 1,
        "POST /identity/users": 1,
        "PUT /identity/projects/{p}/users/{u}/roles/{r}": 1,
        "POST /aws/iam/ ListAccessKeys": 1,
        "(unknown)": 1,
    }
    assert calls["total"] == 6


async def test_down_closes_every_connection(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """The provider ends the connection without an answer, and its own interface still answers."""
    await simulator.behave(down=True)
    with pytest.raises(httpx.RemoteProtocolError):
        await api.get("/identity/users")
    await simulator.behave(down=False)
    assert (await api.get("/identity/users")).status_code == 200


async def test_a_cut_comes_after_the_effect(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """The client sees a closed connection, and the project is there; reading is not cut."""
    await simulator.behave(cut_after_success_rate=1)
    with pytest.raises(httpx.RemoteProtocolError):
        await api.post("/identity/projects", json={"name": "shop"})
    assert [project["name"] for project in (await api.get("/identity/projects")).json()] == ["shop"]


async def test_a_hang_never_answers_and_has_no_effect(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """The client's patience ends it."""
    await simulator.behave(hang_rate=1)
    with pytest.raises(httpx.ReadTimeout):
        await api.post("/identity/projects", json={"name": "shop"}, timeout=0.1)
    assert (await simulator.stats())["objects"]["projects"] == 0


async def test_what_a_client_no_longer_waits_for_still_happens(
    simulator: RunningSimulator, api: httpx.AsyncClient
) -> None:
    """A create that outlasts the client's patience leaves a project behind."""
    await simulator.behave(latency_ms={"project": 300})
    with pytest.raises(httpx.ReadTimeout):
        await api.post("/identity/projects", json={"name": "shop"}, timeout=0.1)
    async with asyncio.timeout(10):
        while (await simulator.stats())["objects"]["projects"] == 0:
            pass


async def test_errors_come_as_asked(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """A gateway's status is a page, any other is JSON; nothing takes effect."""
    await simulator.behave(error_rate=1, error_status=503)
    page = await api.post("/identity/projects", json={"name": "shop"})
    await simulator.behave(error_status=500)
    error = await api.post("/identity/projects", json={"name": "shop"})
    assert (page.status_code, page.headers["content-type"]) == (503, "text/html")
    assert (error.status_code, error.json()["error"]["code"]) == (500, 500)
    assert (await simulator.stats())["objects"]["projects"] == 0


async def test_too_many_calls_are_told_when_to_come_back(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """429 bears Retry-After, and is counted."""
    await simulator.behave(rate_limit_per_s=0.001, retry_after_s=7)
    answers = [await api.get("/identity/users") for _ in range(3)]
    assert [answer.status_code for answer in answers] == [200, 429, 429]
    assert answers[2].headers["retry-after"] == "7"
    assert (await simulator.stats())["rate_limited"] == 2


async def test_calls_in_flight_are_counted(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """The peak is how many waited together."""
    await simulator.behave(hang_rate=1)
    async with asyncio.timeout(10), asyncio.TaskGroup() as group:
        waiting = [group.create_task(api.get("/identity/users")) for _ in range(5)]
        while (await simulator.stats())["in_flight_peak"] < 5:
            pass
        for task in waiting:
            task.cancel()
    assert (await simulator.stats())["in_flight_peak"] == 5
