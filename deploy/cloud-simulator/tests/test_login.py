from collections.abc import Callable
from typing import Any

import httpx
import pytest
from cloud_simulator.testing import RunningSimulator

Login = Callable[..., dict[str, Any]]


async def test_an_admin_gets_a_token_for_a_domain_or_a_project(
    api: httpx.AsyncClient, login: Login, project_id: str
) -> None:
    """201 with the token in X-Subject-Token; the project is named by id, or by name within its domain."""
    scopes: list[dict[str, Any]] = [
        {"domain": {"name": "UCA"}},
        {"project": {"id": project_id}},
        {"project": {"name": "SHOP-p1", "domain": {"name": "uca"}}},
    ]
    for scope in scopes:
        answer = await api.post("/identity/auth", json=login(scope=scope))
        assert answer.status_code == 201
        token = {"x-auth-token": answer.headers["x-subject-token"]}
        assert (await api.get("/identity/projects", headers=token)).status_code == 200
    assert answer.json()["token"]["project"]["name"] == "shop-p1"


@pytest.mark.parametrize(
    "change",
    [
        {"password": "wrong"},
        {"name": "nobody"},
        {"scope": {"project": {"id": "none"}}},
        {"scope": {"domain": {"name": "none"}}},
    ],
)
async def test_every_failed_login_is_401(api: httpx.AsyncClient, login: Login, change: dict[str, Any]) -> None:
    """A wrong password, an unknown user, project or domain cannot be told apart."""
    answer = await api.post("/identity/auth", json=login(**change))
    assert answer.status_code == 401
    assert answer.json()["error"]["message"] == "The request you have made requires authentication."


async def test_locked_and_mfa_are_401_too(simulator: RunningSimulator, api: httpx.AsyncClient, login: Login) -> None:
    """Only the second bears a receipt."""
    await simulator.behave(login="locked")
    locked = await api.post("/identity/auth", json=login())
    await simulator.behave(login="mfa")
    mfa = await api.post("/identity/auth", json=login())
    assert (locked.status_code, mfa.status_code) == (401, 401)
    assert "openstack-auth-receipt" not in locked.headers
    assert "openstack-auth-receipt" in mfa.headers


async def test_a_token_ends(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """After its life, or as soon as the life asked for is over, it is 401."""
    await simulator.behave(token_ttl_s=0)
    answer = await api.get("/identity/users")
    assert (answer.status_code, answer.json()["error"]["message"]) == (401, "The token has expired.")


async def test_a_user_logs_in_where_they_have_a_role(
    api: httpx.AsyncClient, login: Login, project_id: str, user_id: str
) -> None:
    """Without one it is 401; with one there is a token, which may administer nothing."""
    body = login(name="ann@x.org", password="pw", scope={"project": {"id": project_id}})
    assert (await api.post("/identity/auth", json=body)).status_code == 401
    await api.put(f"/identity/projects/{project_id}/users/{user_id}/roles/_member_")
    answer = await api.post("/identity/auth", json=body)
    assert answer.status_code == 201
    token = {"x-auth-token": answer.headers["x-subject-token"]}
    assert (await api.get("/identity/users", headers=token)).status_code == 403


async def test_a_new_password_takes_the_place_of_the_old(api: httpx.AsyncClient, login: Login, user_id: str) -> None:
    """The old one no longer logs in."""
    await api.put(f"/identity/users/{user_id}", json={"password": "new"})
    old = await api.post("/identity/auth", json=login(name="ann@x.org", password="pw"))
    new = await api.post("/identity/auth", json=login(name="ann@x.org", password="new"))
    assert (old.status_code, new.status_code) == (401, 201)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b'{"auth":{"identity":{"password":{"user":{}}}}}'])
async def test_a_login_without_form_is_400(api: httpx.AsyncClient, body: bytes) -> None:
    """What is missing is said in description."""
    answer = await api.post("/identity/auth", content=body)
    assert answer.status_code == 400
    assert answer.json()["description"]
