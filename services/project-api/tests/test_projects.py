"""Creating a project."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest
from backbone.testing import LOCK_WAITS
from project_api import beforehand
from project_api.directory import people, users
from project_api.identifiers import ALPHABET, LETTERS
from project_api.testing import World


async def test_it_is_answered_at_once(world: World) -> None:
    """201 says where the project is, that it is being provisioned, and when that is likely to be done."""
    tenant = await world.tenant()
    body = {"name": "Payments", "region": "region-1", "tenant_id": tenant.id, "type": "vpc", "metadata": {"a": [1]}}
    answer = await world.post("", json=body)
    assert answer.status_code == 201
    found = answer.json()
    identifier = found["identifier"]
    assert answer.headers["location"] == f"/admin/v1/projects/{identifier}"
    assert answer.headers["retry-after"] == "2"
    assert (found["success"], found["status"]) == (True, "provisioning")
    assert found["message"] == "Project created successfully. Infrastructure provisioning in progress."
    data = found["data"]
    assert (data["id"], data["identifier"], data["status"]) == (identifier, identifier, "provisioning")
    assert data["tenant"] == {"id": tenant.id, "name": f"Tenant {tenant.id}"}
    assert data["metadata"] == {"a": [1]}
    created = datetime.fromisoformat(data["created_at"])
    assert datetime.fromisoformat(found["estimated_completion"]) - created == timedelta(minutes=5)


async def test_identifiers_cannot_be_misread(world: World) -> None:
    """Eight capitals and digits, a letter first, none of which looks like another."""
    identifier = await world.create()
    assert len(identifier) == 8
    assert identifier[0] in LETTERS
    assert set(identifier) <= set(ALPHABET)
    assert not set(ALPHABET) & set("ILO01")


async def test_everybody_who_must_have_access_is_in(world: World) -> None:
    """Admins, the tenant's users, explicit users of any tenant, client and owner: each once, with every reason."""
    tenant, other = await world.tenant(), await world.tenant()
    body = {
        "name": "Everybody",
        "region": "region-1",
        "tenant_id": tenant.id,
        "user_ids": [other.members[0], other.members[0]],
        "member_user_ids": [tenant.members[0]],
        "client_id": other.members[1],
        "user_id": tenant.members[0],
    }
    data = (await world.post("", json=body)).json()["data"]
    reasons = {user["id"]: user["reasons"] for user in data["users"]}
    assert reasons[other.members[0]] == ["explicit"]
    assert reasons[tenant.members[0]] == ["explicit", "tenant", "owner"]
    assert reasons[tenant.members[1]] == ["tenant"]
    assert reasons[tenant.tenant_admin] == ["tenant"]
    assert reasons[other.members[1]] == ["client"]
    assert reasons[world.admin_id] == ["admin", "creator"]
    assert {user["status"] for user in data["users"]} == {"not_started"}


async def test_the_event_is_stored_with_it(world: World) -> None:
    """ProjectCreated waits in the outbox with all that workers keep, and nobody was asked meanwhile."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    (event,) = await world.outbox(identifier)
    assert (event["type"], event["run"], event["correlationid"]) == ("ProjectCreated", 1, f"{identifier}/1")
    data = event["data"]
    assert (data["tenant_id"], data["provider"], data["region"]) == (tenant.id, "zadara", "region-1")
    assert {each["user_id"] for each in data["participants"]} >= {*tenant.members, world.admin_id}
    allowed = datetime.fromisoformat(data["deadline_at"]) - datetime.fromisoformat(data["requested_at"])
    assert allowed == timedelta(seconds=world.parts.settings.run_deadline_seconds)


async def test_only_name_and_region_are_required(world: World) -> None:
    """Everything else may be null or left out: no tenant, provider zadara, no description."""
    optional = ("description", "provider", "tenant_id", "user_ids", "member_user_ids", "type", "assignment_scope")
    body: dict[str, Any] = {"name": "Bare", "region": "region-1", **dict.fromkeys(optional)}
    data = (await world.post("", json=body)).json()["data"]
    assert (data["tenant"], data["tenant_id"], data["provider"], data["description"]) == (None, None, "zadara", "")


GOOD = {"name": "Refused", "region": "region-1"}


def nested(depth: int) -> Any:
    """So many lists and objects one in another."""
    value: Any = "x"
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


async def test_what_is_nested_is_read_as_it_was_sent(world: World) -> None:
    """As deep as it may be, past the framework and by the described route, and waited for."""
    for path, headers in (("", {}), ("?by=route", {}), ("", {"Prefer": "wait=0"})):
        body = {"name": f"Nested {path}{len(headers)}", "region": "region-1", "metadata": nested(32)}
        answer = await world.client.post(f"/admin/v1/projects{path}", json=body, headers={**world.admin, **headers})
        assert answer.status_code == 201, answer.text
        assert (await world.get(f"/{answer.json()['identifier']}")).json()["data"]["metadata"] == nested(32)


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"region": "region-1"}, "name"),
        ({"name": "x"}, "region"),
        ({**GOOD, "name": ""}, "name"),
        ({**GOOD, "name": "   "}, "name"),
        ({**GOOD, "name": "x" * 256}, "name"),
        ({**GOOD, "name": "a\x00b"}, "name"),
        ({**GOOD, "name": 5}, "name"),
        ({**GOOD, "region": "nowhere"}, "region"),
        ({**GOOD, "region": "region-2"}, "region"),
        ({**GOOD, "provider": "unheard-of"}, "provider"),
        ({**GOOD, "tenant_id": 99_999_999}, "tenant_id"),
        ({**GOOD, "tenant_id": 0}, "tenant_id"),
        ({**GOOD, "tenant_id": 2**63}, "tenant_id"),
        ({**GOOD, "user_ids": [99_999_999]}, "user_ids"),
        ({**GOOD, "member_user_ids": [99_999_999]}, "member_user_ids"),
        ({**GOOD, "user_ids": ["x"]}, "user_ids.0"),
        ({**GOOD, "user_ids": [True]}, "user_ids.0"),
        ({**GOOD, "tenant_id": True}, "tenant_id"),
        ({**GOOD, "metadata": nested(33)}, "metadata"),
        ({**GOOD, "metadata": nested(300)}, "metadata"),
        ({**GOOD, "user_policies": nested(300)}, "user_policies"),
        ({**GOOD, "client_id": 99_999_999}, "client_id"),
        ({**GOOD, "user_id": 99_999_999}, "user_id"),
        ({**GOOD, "assignment_scope": "galaxy"}, "assignment_scope"),
        ({**GOOD, "status": "active"}, "status"),
        ({**GOOD, "version": 3}, "version"),
        ({**GOOD, "metadata": {"a": "b\x00"}}, "metadata"),
        ({**GOOD, "metadata": "x" * 70_000}, "metadata"),
    ],
)
async def test_what_cannot_be_is_a_422(world: World, body: dict[str, Any], field: str) -> None:
    """The field that is wrong is named, in words that the frontend can show, and nothing is stored."""
    before = await world.rows("SELECT count(*) FROM projects")
    answer = await world.post("", json=body)
    assert answer.status_code == 422, answer.text
    found = answer.json()
    assert list(found["errors"]) == [field]
    assert found["message"] == found["errors"][field][0] == found["detail"]
    assert found["success"] is False
    assert await world.rows("SELECT count(*) FROM projects") == before


async def test_a_name_is_taken_once_per_tenant(world: World) -> None:
    """The same name is a 422 in one tenant and free in another; without a tenant too it is taken once."""
    one, other = await world.tenant(), await world.tenant()
    for tenant_id, expected in ((one.id, 201), (one.id, 422), (other.id, 201), (None, 201), (None, 422)):
        body = {"name": "Unique", "region": "region-1", "tenant_id": tenant_id}
        assert (await world.post("", json=body)).status_code == expected


async def test_of_many_at_once_one_gets_the_name(world: World) -> None:
    """Eight equal creates at once make one project; the others are told that the name is taken."""
    tenant = await world.tenant()
    body = {"name": "Wanted", "region": "region-1", "tenant_id": tenant.id}
    answers = await asyncio.gather(*(world.post("", json=body) for _ in range(8)))
    assert sorted(each.status_code for each in answers) == [201] + [422] * 7


async def test_a_tenant_admin_creates_in_their_own_tenant(world: World, client: httpx.AsyncClient) -> None:
    """Without a tenant it is theirs; another tenant, or a user of one, is as if it weren't there."""
    own, other = await world.tenant(), await world.tenant()
    mine = world.tenant_admin(own)
    path = "/tenant/v1/admin/projects"
    answer = await client.post(path, json={"name": "Mine", "region": "region-1"}, headers=mine)
    assert (answer.status_code, answer.json()["data"]["tenant_id"]) == (201, own.id)
    assert answer.headers["location"].startswith(path)
    for refused in ({"tenant_id": other.id}, {"user_ids": [other.members[0]]}):
        body = {"name": "Theirs", "region": "region-1", **refused}
        assert (await client.post(path, json=body, headers=mine)).status_code == 422


async def test_a_member_creates_nothing(world: World, client: httpx.AsyncClient) -> None:
    """Members read: a create is a 403 in words."""
    tenant = await world.tenant()
    body = {"name": "Not mine", "region": "region-1"}
    answer = await client.post("/api/v1/business/projects", json=body, headers=world.member(tenant))
    assert (answer.status_code, answer.json()["success"]) == (403, False)
    assert answer.json()["message"]


async def test_a_change_of_the_directory_is_never_missed(world: World) -> None:
    """A user who was added to the tenant after it was cached is in the very next project."""
    tenant = await world.tenant()
    await world.create(tenant)
    new = {"name": "New", "email": f"new{tenant.id}@uca.test", "role": "member", "tenant_id": tenant.id}
    added = await world.client.post("/admin/v1/users", json=new, headers=world.admin)
    body = {"name": "After", "region": "region-1", "tenant_id": tenant.id}
    data = (await world.post("", json=body)).json()["data"]
    assert added.json()["data"]["id"] in {user["id"] for user in data["users"]}


async def test_a_change_that_is_being_made_is_waited_for(world: World) -> None:
    """A user who is added while a create is on its way is in it, though the cache didn't know of them yet."""
    tenant = await world.tenant()
    await world.create(tenant)
    body = {"name": "Meanwhile", "region": "region-1", "tenant_id": tenant.id}
    async with world.parts.database.transaction() as tx:
        await tx.execute(people.LOCK)
        new = await users.create(tx, "Meanwhile", f"meanwhile{tenant.id}@uca.test", "member", tenant.id)
        creating = asyncio.create_task(world.post("", json=body))
        while not await world.rows(LOCK_WAITS):  # noqa: ASYNC110 - another session is what is waited for
            await asyncio.sleep(0.005)
    assert new.id in {user["id"] for user in (await creating).json()["data"]["users"]}


async def test_the_estimate_is_learned(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """With twenty ended runs of that provider, region and size, the estimate is their median and P95."""
    monkeypatch.setattr(beforehand, "FRESH", 0.0)
    await world.projector.execute(
        "INSERT INTO status_projector.estimates VALUES ('zadara', 'region-1', '51-200', 20, 12.5, 40)"
    )
    tenant = await world.tenant(members=60)
    body = {"name": "Learned", "region": "region-1", "tenant_id": tenant.id}
    found = (await world.post("", json=body)).json()
    created = datetime.fromisoformat(found["data"]["created_at"])
    assert datetime.fromisoformat(found["estimated_completion"]) - created == timedelta(seconds=12.5)
    assert (found["estimate"]["p50_seconds"], found["estimate"]["p95_seconds"], found["estimate"]["runs"]) == (
        12.5,
        40,
        20,
    )
    status = await world.status(found["identifier"])
    assert status["estimated_completion"] == found["estimated_completion"]
