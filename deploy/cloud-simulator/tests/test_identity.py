import asyncio

import httpx
import pytest
from cloud_simulator.testing import RunningSimulator


async def test_accounts_are_listed_without_a_filter(api: httpx.AsyncClient) -> None:
    """A filter by name is refused, so that a client filters for itself."""
    answer = await api.get("/identity/domains")
    assert [domain["name"] for domain in answer.json()["domains"]] == ["uca", "other"]
    assert (await api.get("/identity/domains?name=uca")).status_code == 400


async def test_lists_come_in_two_shapes(simulator: RunningSimulator, api: httpx.AsyncClient, user_id: str) -> None:
    """A bare list and a list in an object take turns, unless one is asked for."""
    bare, wrapped = [(await api.get("/identity/users")).json() for _ in range(2)]
    assert bare == wrapped["users"]
    assert [user["id"] for user in bare] == [user_id]
    await simulator.behave(list_shape="wrapped")
    shapes = [(await api.get("/identity/projects")).json() for _ in range(2)]
    assert shapes == [{"projects": []}] * 2


async def test_a_project_comes_back_as_it_was_made(api: httpx.AsyncClient) -> None:
    """201 with id and account; the same name in another case is 409 with a message."""
    body = {"name": "Shop-p1", "description": "uca:p1"}
    made = await api.post("/identity/projects", json=body)
    again = await api.post("/identity/projects", json=body | {"name": "shop-P1"})
    assert made.status_code == 201
    assert made.json().items() >= body.items()
    assert (again.status_code, "message" in again.json()) == (409, True)
    assert (await api.get("/identity/projects")).json() == [made.json()]


async def test_of_equal_creates_at_once_one_wins(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """Eight at a time make one project and seven conflicts, delayed or not."""
    await simulator.behave(latency_ms={"project": 20})
    body = {"name": "shop-p1", "description": "uca:p1"}
    answers = await asyncio.gather(*(api.post("/identity/projects", json=body) for _ in range(8)))
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 7
    assert (await simulator.stats())["duplicate_effects"] == 0


async def test_a_second_project_of_one_mark_is_reported(simulator: RunningSimulator, api: httpx.AsyncClient) -> None:
    """The cloud lets it happen, and the counts tell."""
    for name in ("one", "two"):
        await api.post("/identity/projects", json={"name": name, "description": "uca:p1"})
    assert (await simulator.stats())["duplicate_effects"] == 1


async def test_roles_and_policies_can_be_put_again_and_deleted_once(
    simulator: RunningSimulator, api: httpx.AsyncClient, project_id: str, user_id: str
) -> None:
    """PUT is 204 every time, DELETE is 204 and then 404."""
    for path in ("roles/_member_", "policies/Full"):
        url = f"/identity/projects/{project_id}/users/{user_id}/{path}"
        statuses = [(await api.request(method, url)).status_code for method in ("PUT", "PUT", "DELETE", "DELETE")]
        assert statuses == [204, 204, 204, 404]
    assert (await simulator.stats())["objects"]["grants"] == 0


async def test_assignments_are_read_per_user(api: httpx.AsyncClient, project_id: str, user_id: str) -> None:
    """Role and project are named; a filter by project is not attested and so refused."""
    await api.put(f"/identity/projects/{project_id}/users/{user_id}/roles/_member_")
    answer = await api.get("/identity/role_assignments", params={"user.id": user_id})
    [assignment] = answer.json()["role_assignments"]
    assert (assignment["role"]["name"], assignment["scope"]["project"]["id"]) == ("_member_", project_id)
    refused = await api.get("/identity/role_assignments", params={"scope.project.id": project_id})
    assert refused.status_code == 400


async def test_a_project_takes_its_grants_with_it(
    simulator: RunningSimulator, api: httpx.AsyncClient, project_id: str, user_id: str
) -> None:
    """Grants and policies are gone with the project, and the user remains."""
    for path in ("roles/_member_", "policies/Full"):
        await api.put(f"/identity/projects/{project_id}/users/{user_id}/{path}")
    assert (await api.delete(f"/identity/projects/{project_id}")).status_code == 204
    counts = {"projects": 0, "users": 1, "grants": 0, "policies": 0, "active_keys": 0}
    assert (await simulator.stats())["objects"] == counts
    assert (await api.delete(f"/identity/projects/{project_id}")).status_code == 404


@pytest.mark.parametrize("body", [{}, {"name": "ann"}, {"name": " ", "password": "pw"}, {"name": 7, "password": "pw"}])
async def test_a_user_needs_a_name_and_a_password(api: httpx.AsyncClient, body: dict[str, object]) -> None:
    """400 says in description what is missing."""
    answer = await api.post("/identity/users", json=body)
    assert answer.status_code == 400
    assert answer.json()["description"]


async def test_another_account_is_forbidden(api: httpx.AsyncClient, simulator: RunningSimulator) -> None:
    """A token is for one account."""
    other = (await simulator.objects())["accounts"][1]["id"]
    assert (await api.get("/identity/users", params={"domain_id": other})).status_code == 403


async def test_failing_users_and_projects_are_400(
    simulator: RunningSimulator, api: httpx.AsyncClient, project_id: str, user_id: str
) -> None:
    """Each write that concerns them is refused; the others are not."""
    await simulator.behave(fail_emails=["ann@x.org", "bob@x.org"], fail_project_names=["bad"])
    place = f"/identity/projects/{project_id}/users/{user_id}"
    key = {"Action": "CreateAccessKey", "UserName": "ann@x.org", "ProjectId": project_id}
    answers = [
        await api.post("/identity/users", json={"name": "bob@x.org", "password": "pw"}),
        await api.put(f"{place}/roles/_member_"),
        await api.put(f"{place}/policies/Full"),
        await api.post("/aws/iam/", data=key),
        await api.post("/identity/projects", json={"name": "bad-p2"}),
    ]
    assert [answer.status_code for answer in answers] == [400] * 5
    assert (await api.post("/identity/users", json={"name": "eve@x.org", "password": "pw"})).status_code == 201
