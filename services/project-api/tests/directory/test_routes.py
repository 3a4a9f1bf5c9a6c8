"""The directory over HTTP."""

import asyncio
import json
import time
from collections.abc import Callable
from typing import Any

import httpx
import pytest
from backbone.database import Transaction
from backbone.testing import LOCK_WAITS
from clouds.naming import cloud_user_name
from project_api.directory import users
from project_api.directory.people import RAISE, User, tenant_list
from project_api.parts import Parts
from project_api.runs import user_runs

Bearer = Callable[..., dict[str, str]]


@pytest.fixture
def admin(bearer: Bearer) -> dict[str, str]:
    """An administrator's header."""
    return bearer()


async def make_tenant(client: httpx.AsyncClient, admin: dict[str, str], name: str) -> int:
    answer = await client.post("/admin/v1/tenants", json={"name": name}, headers=admin)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])


async def make_user(client: httpx.AsyncClient, admin: dict[str, str], email: str, **more: Any) -> int:
    body = {"name": email.partition("@")[0], "email": email, "role": "member", **more}
    answer = await client.post("/admin/v1/users", json=body, headers=admin)
    assert answer.status_code == 201, answer.text
    return int(answer.json()["data"]["id"])


async def test_a_created_tenant_and_user_are_listed(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """Both have the members that the frontend reads, and no others."""
    tenant = await make_tenant(client, admin, "Listed")
    user = await make_user(client, admin, "listed@uca.test", tenant_id=tenant)
    tenants = (await client.get("/admin/v1/tenants?search=liste", headers=admin)).json()
    assert tenants["data"] == [{"id": tenant, "name": "Listed"}]
    users = (await client.get(f"/admin/v1/users?tenant_id={tenant}", headers=admin)).json()
    assert users["data"] == [
        {"id": user, "name": "listed", "email": "listed@uca.test", "role": "member", "tenant_id": tenant}
    ]
    assert (users["meta"]["total"], users["meta"]["per_page"], users["links"]["next"]) == (1, 15, None)


async def test_users_are_paged(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """Pages follow each other by id, and the last one is short."""
    tenant = await make_tenant(client, admin, "Paged")
    ids = [await make_user(client, admin, f"paged{number}@uca.test", tenant_id=tenant) for number in range(5)]
    pages = [
        (await client.get(f"/admin/v1/users?tenant_id={tenant}&per_page=2&page={page}", headers=admin)).json()
        for page in (1, 2, 3)
    ]
    assert [[user["id"] for user in page["data"]] for page in pages] == [ids[:2], ids[2:4], ids[4:]]
    assert (pages[2]["meta"]["from"], pages[2]["meta"]["to"], pages[2]["meta"]["last_page"]) == (5, 5, 3)


@pytest.mark.parametrize(
    ("body", "field", "words"),
    [
        ({"email": "a@uca.test", "role": "member"}, "name", "The name field is required."),
        ({"name": " ", "email": "a@uca.test", "role": "member"}, "name", "The name field must not be empty."),
        (
            {"name": "A", "email": "nobody", "role": "member"},
            "email",
            "The e-mail must be an address, as eve@uca.example.",
        ),
        (
            {"name": "A", "email": "a@uca.test", "role": "member", "tenant_id": True},
            "tenant_id",
            "An id must be a number.",
        ),
        ({"name": "A", "email": "a@uca.test", "role": "king"}, "role", None),
        ({"name": "A", "email": "a@uca.test", "role": "member", "id": 3}, "id", "The id field is not allowed."),
        (
            {"name": "A", "email": "a@uca.test", "role": "member", "tenant_id": 999999},
            "tenant_id",
            "There is no such tenant.",
        ),
        ({"name": "A", "email": "a@uca.test", "role": "tenant_admin"}, "body", "A tenant_admin needs a tenant_id."),
        ({"name": "A\x00", "email": "a@uca.test", "role": "member"}, "name", None),
    ],
)
async def test_a_wrong_user_is_refused_in_words(
    client: httpx.AsyncClient, admin: dict[str, str], body: dict[str, Any], field: str, words: str | None
) -> None:
    """The field is named, and the message is its first error."""
    answer = await client.post("/admin/v1/users", json=body, headers=admin)
    assert answer.status_code == 422
    problem = answer.json()
    assert list(problem["errors"]) == [field]
    assert problem["message"] == problem["errors"][field][0]
    assert words in (None, problem["message"])


async def test_an_email_belongs_to_one_user(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """In any case of its letters."""
    await make_user(client, admin, "once@uca.test")
    body = {"name": "Again", "email": "ONCE@uca.test", "role": "member"}
    answer = await client.post("/admin/v1/users", json=body, headers=admin)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["email"])


@pytest.mark.parametrize(("first", "second"), [("ΣΑΣ", "σας"), ("İ", "i̇"), ("ÄÖ", "äö"), ("kelvin", "\u212aelvin")])
async def test_an_account_on_a_cloud_belongs_to_one_user(
    client: httpx.AsyncClient, admin: dict[str, str], first: str, second: str
) -> None:
    """Whose e-mails name the same one are one user, whatever the database holds to be their lower case."""
    one, other = f"{first}@account.test", f"{second}@account.test"
    assert cloud_user_name(one) == cloud_user_name(other)
    await make_user(client, admin, one)
    body = {"name": "Again", "email": other, "role": "member"}
    answer = await client.post("/admin/v1/users", json=body, headers=admin)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["email"])
    imported = await client.post("/admin/v1/users/import", json=[body], headers=admin)
    assert (imported.status_code, imported.json()["existing"]) == (201, 1)
    third = await make_user(client, admin, f"third{first}@account.test")
    changed = await client.patch(f"/admin/v1/users/{third}", json={"email": other}, headers=admin)
    assert changed.status_code == 422


async def test_a_removed_user_is_gone_and_their_token_refused(
    client: httpx.AsyncClient, parts: Parts, admin: dict[str, str], bearer: Bearer
) -> None:
    """From the next look on, at the latest a second later, on every replica."""
    user = await make_user(client, admin, "leaver@uca.test")
    token = bearer("member", user)
    assert (await client.get("/api/v1/business/auth/user", headers=token)).status_code == 200
    assert (await client.delete(f"/admin/v1/users/{user}", headers=admin)).status_code == 200
    await parts.refusals.look()
    assert (await client.get("/api/v1/business/auth/user", headers=token)).status_code == 401
    assert (await client.get(f"/admin/v1/users/{user}", headers=admin)).status_code == 404


async def test_a_role_that_was_taken_is_not_kept_by_a_token_of_the_same_second(
    client: httpx.AsyncClient, parts: Parts, admin: dict[str, str], bearer: Bearer
) -> None:
    """A token from just before the change is refused, and one from just after it is taken."""
    tenants = [await make_tenant(client, admin, name) for name in ("Moved from", "Moved to")]
    user = await make_user(client, admin, "demoted@uca.test", role="tenant_admin", tenant_id=tenants[0])
    await asyncio.sleep(1 - time.time() % 1)  # the change comes in the same second
    before = bearer("tenant_admin", user, tenants[0])
    change = {"role": "member", "tenant_id": tenants[1]}
    assert (await client.patch(f"/admin/v1/users/{user}", json=change, headers=admin)).status_code == 200
    after = bearer("member", user, tenants[1])
    await parts.refusals.look()
    answers = [await client.get("/api/v1/business/auth/user", headers=token) for token in (before, after)]
    assert [answer.status_code for answer in answers] == [401, 200]


async def test_a_change_is_told_to_the_projects(
    client: httpx.AsyncClient, admin: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In the change's own transaction; the answer names the runs that it started."""
    seen: list[tuple[str, str]] = []

    async def note(tx: Transaction, before: User, after: User | None, parts: Parts) -> list[str]:
        seen.append((before.role, after.role if after else "gone"))
        return ["F1"] if after and after.role != before.role else []

    monkeypatch.setattr(user_runs, "user_changed", note)
    user = await make_user(client, admin, "riser@uca.test")
    renamed = await client.patch(f"/admin/v1/users/{user}", json={"name": "Riser"}, headers=admin)
    assert (renamed.json()["data"]["name"], renamed.json()["runs"]) == ("Riser", [])
    risen = await client.patch(f"/admin/v1/users/{user}", json={"role": "admin"}, headers=admin)
    assert (risen.json()["data"]["role"], risen.json()["runs"]) == ("admin", ["F1"])
    assert seen == [("member", "member"), ("member", "admin")]


async def test_a_used_tenant_stays(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """A tenant with users is a 409; without, it goes."""
    tenant = await make_tenant(client, admin, "Used")
    user = await make_user(client, admin, "used@uca.test", tenant_id=tenant)
    assert (await client.delete(f"/admin/v1/tenants/{tenant}", headers=admin)).status_code == 409
    await client.delete(f"/admin/v1/users/{user}", headers=admin)
    assert (await client.delete(f"/admin/v1/tenants/{tenant}", headers=admin)).status_code == 200
    assert (await client.get(f"/admin/v1/tenants/{tenant}", headers=admin)).status_code == 404


@pytest.mark.parametrize("done", [1, 2])
async def test_a_tenant_that_is_being_used_stays(
    client: httpx.AsyncClient, admin: dict[str, str], parts: Parts, done: int
) -> None:
    """A removal waits for a user's creation, whichever of its statements are done, and is a 409 then as well."""
    tenant = await make_tenant(client, admin, f"Being used {done}")
    user = {"name": "Being", "email": f"being{tenant}@uca.test", "role": "member", "tenant_id": tenant}
    steps: list[tuple[str, dict[str, Any]]] = [
        (users.INSERT, {"rows": json.dumps([user])}),
        (RAISE, {"names": [tenant_list(tenant)]}),
    ]
    async with parts.database.transaction() as tx:
        for statement, values in steps[:done]:
            await tx.execute(statement, values)
        removing = asyncio.create_task(client.delete(f"/admin/v1/tenants/{tenant}", headers=admin))
        while not (await tx.execute(LOCK_WAITS)).all() and not removing.done():  # noqa: ASYNC110 - the database's state
            await asyncio.sleep(0.005)
        assert not removing.done()
        for statement, values in steps[done:]:
            await tx.execute(statement, values)
    answer = await removing
    words = "The tenant still has users or projects. Remove them first."
    assert (answer.status_code, answer.json()["message"]) == (409, words)


async def test_an_import_creates_who_is_missing(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """JSON and CSV alike; who is there already stays as they are."""
    rows = [{"name": f"I {number}", "email": f"import{number}@uca.test", "role": "member"} for number in range(3)]
    first = await client.post("/admin/v1/users/import", json=rows[:2], headers=admin)
    assert (first.status_code, first.json()["created"], first.json()["existing"]) == (201, 2, 0)
    text = "name,email,role,tenant_id\n" + "".join(f"{r['name']},{r['email']},{r['role']},\n" for r in rows)
    second = await client.post(
        "/admin/v1/users/import", content=text, headers={**admin, "Content-Type": "text/csv; charset=utf-8"}
    )
    assert (second.status_code, second.json()["created"], second.json()["existing"]) == (201, 1, 2)
    assert [user["email"] for user in second.json()["data"]] == ["import2@uca.test"]


async def test_an_import_is_all_or_nothing(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """A wrong row is named by its number, and no row is stored."""
    rows = [
        {"name": "Good", "email": "good@uca.test", "role": "member"},
        {"name": "Bad", "email": "bad", "role": "member"},
    ]
    answer = await client.post("/admin/v1/users/import", json={"users": rows}, headers=admin)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["users.1.email"])
    assert (await client.get("/admin/v1/users?search=good@uca.test", headers=admin)).json()["data"] == []


async def test_regions_come_from_their_file(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """In its order, with the provider that a create names, without address or account."""
    assert (await client.get("/admin/v1/regions", headers=admin)).json() == {
        "success": True,
        "data": [
            {"code": "region-1", "name": "Region 1", "region": "region-1", "provider": "zadara", "is_active": True},
            {"code": "region-2", "name": "Region 2", "region": "region-2", "provider": "zadara", "is_active": False},
        ],
    }


async def test_suggestions_follow_the_scope(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """`internal` has users without a tenant, `tenant` and `client` those of the tenant."""
    tenant = await make_tenant(client, admin, "Suggesting")
    inside = await make_user(client, admin, "inside@uca.test", tenant_id=tenant)
    outside = await make_user(client, admin, "outside@uca.test", role="admin")
    path = "/admin/v1/project-memberships/suggestions"
    internal = (await client.get(f"{path}?scope=internal", headers=admin)).json()["data"]
    assert outside in [user["id"] for user in internal]
    assert inside not in [user["id"] for user in internal]
    for scope in ("tenant", "client"):
        found = (await client.get(f"{path}?scope={scope}&tenant_id={tenant}", headers=admin)).json()["data"]
        assert [user["id"] for user in found] == [inside]


async def test_suggestions_are_paged(client: httpx.AsyncClient, admin: dict[str, str]) -> None:
    """As the other lists of the directory are: who asks for the next page misses nobody."""
    tenant = await make_tenant(client, admin, "Paged suggestions")
    made = [await make_user(client, admin, f"suggested{n}@uca.test", tenant_id=tenant) for n in range(3)]
    path = f"/admin/v1/project-memberships/suggestions?scope=tenant&tenant_id={tenant}&per_page=2"
    found, seen = (await client.get(path, headers=admin)).json(), []
    while True:
        seen += [user["id"] for user in found["data"]]
        if not (following := found["links"]["next"]):
            break
        found = (await client.get(following, headers=admin)).json()
    assert (seen, found["meta"]["total"]) == (made, 3)


async def test_a_tenant_admin_sees_only_their_tenant(
    client: httpx.AsyncClient, admin: dict[str, str], bearer: Bearer
) -> None:
    """Lists hold their own; another tenant is a 404, and the admin routes are a 403 with words."""
    own, other = await make_tenant(client, admin, "Own"), await make_tenant(client, admin, "Other")
    mine = await make_user(client, admin, "mine@uca.test", tenant_id=own)
    await make_user(client, admin, "theirs@uca.test", tenant_id=other)
    caller = bearer("tenant_admin", mine, own)
    for prefix in ("/tenant/v1/admin", "/api/v1/business"):
        users = (await client.get(f"{prefix}/users?per_page=100", headers=caller)).json()["data"]
        assert [user["id"] for user in users] == [mine]
        tenants = (await client.get(f"{prefix}/tenants", headers=caller)).json()["data"]
        assert [tenant["id"] for tenant in tenants] == [own]
        assert (await client.get(f"{prefix}/users?tenant_id={other}", headers=caller)).status_code == 404
        suggested = await client.get(f"{prefix}/project-memberships/suggestions?scope=internal", headers=caller)
        assert suggested.json()["data"] == []
    refused = await client.get("/admin/v1/users", headers=caller)
    assert (refused.status_code, refused.json()["success"]) == (403, False)
    assert refused.json()["message"]


async def test_members_do_not_read_the_directory(client: httpx.AsyncClient, bearer: Bearer) -> None:
    """A member sees projects, not everybody's e-mail."""
    assert (await client.get("/tenant/v1/admin/users", headers=bearer("member", 5, 1))).status_code == 403


@pytest.mark.parametrize(
    "address",
    [
        "/users?role=&tenant_id=&search=&page=&per_page=",
        "/tenants?search=&page=&per_page=",
        "/project-memberships/suggestions?scope=&tenant_id=",
        "/dead-letters?service=&project=&error=&since=&until=&state=&page=&per_page=",
    ],
)
async def test_what_nobody_filled_in_is_left_out(
    client: httpx.AsyncClient, admin: dict[str, str], address: str
) -> None:
    """A form sends it as empty text."""
    answer = await client.get(f"/admin/v1{address}", headers=admin)
    assert answer.status_code == 200, answer.text
    without = await client.get(f"/admin/v1{address.partition('?')[0]}", headers=admin)
    assert answer.json()["data"] == without.json()["data"]
