"""Who may come in, and how."""

from collections.abc import Callable
from typing import Any

import httpx
import pytest

Bearer = Callable[..., dict[str, str]]

WHO = "/api/v1/business/auth/user"
SIGNING = "/api/v1/broadcasting/auth"


def cookie_of(header: dict[str, str], csrf: str | None = None) -> dict[str, str]:
    """The same token as a cookie, with an XSRF-TOKEN cookie where one is given."""
    token = header["Authorization"].removeprefix("Bearer ")
    return {"Cookie": f"uca_token={token}" + (f"; XSRF-TOKEN={csrf}" if csrf else "")}


async def test_a_token_tells_who_it_is_of(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """By Bearer and by cookie alike."""
    header = bearer("tenant_admin", 7, 5, email="t@uca.test")
    for headers in (header, cookie_of(header)):
        answer = (await client.get(WHO, headers=headers)).json()
        assert answer["success"]
        assert answer["data"] == {
            "id": 7,
            "name": "t@uca.test",
            "email": "t@uca.test",
            "role": "tenant_admin",
            "tenant_id": 5,
        }


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer nonsense"}, {"Authorization": "Basic dTpw"}, {"Cookie": "uca_token=x"}]
)
@pytest.mark.parametrize("path", [WHO, "/admin/v1/users", "/tenant/v1/admin/projects", "/admin/v1/nothing"])
async def test_without_a_good_token_all_is_a_401(client: httpx.AsyncClient, path: str, headers: dict[str, str]) -> None:
    """In the one error form, before anything is looked up."""
    answer = await client.get(path, headers=headers)
    assert (answer.status_code, answer.headers["www-authenticate"]) == (401, "Bearer")
    assert (answer.json()["success"], answer.json()["status"]) == (False, 401)


async def test_a_bad_bearer_is_not_saved_by_a_good_cookie(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """Who names a token means that one."""
    headers = {"Authorization": "Bearer nonsense", **cookie_of(bearer())}
    assert (await client.get(WHO, headers=headers)).status_code == 401


@pytest.mark.parametrize("role", ["tenant_admin", "member"])
@pytest.mark.parametrize("path", ["/admin/v1/users", "/admin/v1/dead-letters", "/admin/v1/projects", "/admin/v1/x"])
async def test_admin_routes_are_for_admins(client: httpx.AsyncClient, bearer: Bearer, role: str, path: str) -> None:
    """Everybody else gets a 403 with words, also where there is nothing."""
    answer = await client.get(path, headers=bearer(role, 7, 5))
    assert (answer.status_code, answer.json()["success"]) == (403, False)
    assert answer.json()["message"] == "Only administrators may do this."


@pytest.mark.parametrize("path", ["/sanctum/csrf-cookie", "/admin/v1/sanctum/csrf-cookie"])
async def test_a_cookie_changes_things_only_with_its_csrf_pair(
    client: httpx.AsyncClient, bearer: Bearer, path: str
) -> None:
    """The cookie that the address sets, brought back as a header; missing, other or empty is a 403."""
    answer = await client.get(path)
    client.cookies.clear()
    assert answer.status_code == 204
    csrf = answer.cookies["XSRF-TOKEN"]
    assert "httponly" not in answer.headers["set-cookie"].lower()
    body = {"name": f"By cookie {path}"}
    cookies = cookie_of(bearer(), csrf)
    wrongs: tuple[dict[str, Any], ...] = (
        {},
        {"X-XSRF-TOKEN": ""},
        {"X-XSRF-TOKEN": "other"},
        {"X-XSRF-TOKEN": "é".encode()},
    )
    for wrong in wrongs:
        refused = await client.post("/admin/v1/tenants", json=body, headers={**cookies, **wrong})
        assert (refused.status_code, refused.json()["success"]) == (403, False)
    without_pair = {**cookie_of(bearer()), "X-XSRF-TOKEN": ""}
    assert (await client.post("/admin/v1/tenants", json=body, headers=without_pair)).status_code == 403
    good = await client.post("/admin/v1/tenants", json=body, headers={**cookies, "X-XSRF-TOKEN": csrf})
    assert good.status_code == 201


async def test_reading_by_cookie_needs_no_csrf_pair(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """GET changes nothing."""
    assert (await client.get("/admin/v1/tenants", headers=cookie_of(bearer()))).status_code == 200


async def test_a_refusal_where_sockets_are_signed_is_a_403(client: httpx.AsyncClient) -> None:
    """Echo knows 200 and 403 there, and no 401."""
    answer = await client.post(SIGNING, data={"socket_id": "1.1", "channel_name": "private-projects.F1"})
    assert (answer.status_code, answer.json()["success"]) == (403, False)
