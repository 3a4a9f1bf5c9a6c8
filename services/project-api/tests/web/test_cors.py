"""Pages of other origins."""

from collections.abc import Callable
from http.cookies import SimpleCookie

import httpx
import pytest
from project_api.settings import Settings
from project_api.testing import World
from pydantic import ValidationError

PAGE = "https://portal.uca.test"
OTHER = "https://elsewhere.test"
PROJECTS = "/admin/v1/projects"
Bearer = Callable[..., dict[str, str]]


def preflight(
    origin: str, method: str = "PUT", headers: str = "idempotency-key,if-match,x-xsrf-token"
) -> dict[str, str]:
    """What a browser asks before it sends such a request."""
    return {"Origin": origin, "Access-Control-Request-Method": method, "Access-Control-Request-Headers": headers}


async def test_a_listed_page_may_ask_for_everything_that_it_needs(cross_origin: httpx.AsyncClient) -> None:
    """The preflight comes without a token and is answered all the same: credentials, methods, headers, and how long."""
    answer = await cross_origin.options(f"{PROJECTS}/F1", headers=preflight(PAGE))
    assert answer.status_code == 200
    said = {name: value for name, value in answer.headers.items() if name.startswith("access-control")}
    assert said.pop("access-control-allow-origin") == PAGE
    assert said.pop("access-control-allow-credentials") == "true"
    assert said.pop("access-control-max-age") == "600"
    allowed = said.pop("access-control-allow-headers").lower()
    assert {"authorization", "content-type", "prefer", "x-socket-id"} <= set(allowed.split(", "))
    assert set(said.pop("access-control-allow-methods").split(", ")) == {"GET", "POST", "PUT", "PATCH", "DELETE"}
    assert "origin" in answer.headers["vary"].lower()


@pytest.mark.parametrize(
    "asked",
    [preflight(OTHER), preflight(PAGE, method="TRACE"), preflight(PAGE, headers="x-something-else")],
    ids=["origin", "method", "header"],
)
async def test_what_is_not_listed_is_refused(cross_origin: httpx.AsyncClient, asked: dict[str, str]) -> None:
    """Another page, another method, another header: the browser sends nothing then."""
    assert (await cross_origin.options(PROJECTS, headers=asked)).status_code == 400


async def test_a_listed_page_may_read_answers_and_refusals(cross_origin: httpx.AsyncClient, world: World) -> None:
    """With ETag, Location and Retry-After; a 304, a 401 and a 404 as well."""
    body = {"name": "From a page", "region": "region-1"}
    created = await cross_origin.post(PROJECTS, json=body, headers={**world.admin, "Origin": PAGE})
    assert created.status_code == 201
    assert {"ETag", "Location", "Retry-After"} <= set(created.headers["access-control-expose-headers"].split(", "))
    status = f"{created.headers['location']}/status"
    tag = (await world.client.get(status, headers=world.admin)).headers["etag"]
    for path, headers, code in (
        (status, {**world.admin, "If-None-Match": tag}, 304),
        (status, {}, 401),
        (f"{PROJECTS}/F0", world.admin, 404),
    ):
        answer = await cross_origin.get(path, headers={**headers, "Origin": PAGE})
        assert answer.status_code == code
        assert answer.headers["access-control-allow-origin"] == PAGE
        assert answer.headers["access-control-allow-credentials"] == "true"


async def test_another_page_may_read_nothing(cross_origin: httpx.AsyncClient, world: World) -> None:
    """Its browser is not told that it may."""
    answer = await cross_origin.get(PROJECTS, headers={**world.admin, "Origin": OTHER})
    assert "access-control-allow-origin" not in answer.headers


async def test_nobody_is_listed_unless_somebody_lists_them(client: httpx.AsyncClient, world: World) -> None:
    """Off by default: a preflight is an unknown method to a guarded address, and no answer names an origin."""
    asked = await client.options(PROJECTS, headers=preflight(PAGE))
    answer = await client.get(PROJECTS, headers={**world.admin, "Origin": PAGE})
    assert (asked.status_code, answer.status_code) == (401, 200)
    assert "access-control-allow-origin" not in asked.headers.keys() | answer.headers.keys()


async def test_the_page_can_read_the_cookie_that_it_must_echo(cross_origin: httpx.AsyncClient) -> None:
    """XSRF-TOKEN is set for the domain that page and API share."""
    answer = await cross_origin.get("/sanctum/csrf-cookie", headers={"Origin": PAGE})
    cookie = SimpleCookie(answer.headers["set-cookie"])["XSRF-TOKEN"]
    assert (cookie["domain"], cookie["httponly"]) == ("uca.test", "")


@pytest.mark.parametrize("origins", ["*", "portal.uca.test", "https://portal.uca.test/app"])
def test_an_origin_is_scheme_and_host(settings: Settings, origins: str) -> None:
    """A wrong setting says so at the start; there is no "everybody" beside credentials."""
    with pytest.raises(ValidationError, match="must be origins by comma"):
        Settings.model_validate({**settings.model_dump(), "cors_origins": origins})
