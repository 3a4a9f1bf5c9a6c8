"""Commands on a project that is there."""

import asyncio

import pytest
from backbone.testing import LOCK_WAITS
from contracts.events import LinkRemoved
from contracts.status import Kind, Status
from project_api import handlers
from project_api.testing import World


async def runs_of(world: World, identifier: str) -> list[tuple[str, int]]:
    return [(event["type"], event["run"]) for event in await world.outbox(identifier)]


@pytest.mark.parametrize(
    ("path", "event", "reason"),
    [
        ("provision", "ProvisioningRequested", "provision"),
        ("retry-provisioning", "ProvisioningRequested", "retry"),
        ("suspend", "SuspensionRequested", None),
        ("archive", "SuspensionRequested", None),
    ],
)
async def test_a_command_raises_the_run(world: World, path: str, event: str, reason: str | None) -> None:
    """202 with the new run's status, its event in the outbox, and the next read shows that run."""
    identifier = await world.create()
    await world.finish(identifier)
    answer = await world.post(f"/{identifier}/{path}")
    assert answer.status_code == 202
    found = answer.json()
    assert (found["success"], found["status"], found["run"], found["data"]["id"]) == (
        True,
        "provisioning",
        2,
        identifier,
    )
    assert found["message"]
    assert await runs_of(world, identifier) == [("ProjectCreated", 1), (event, 2)]
    assert (await world.outbox(identifier))[-1]["data"].get("reason") == reason
    assert (await world.status(identifier))["run"] == 2


async def test_one_run_at_a_time(world: World) -> None:
    """While one goes on, provision, retry, members, a user's sync and resume are a 409 that changes nothing."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    user = tenant.members[0]
    for path in ("provision", "retry-provisioning", f"users/{user}/sync", "resume", "activate"):
        answer = await world.post(f"/{identifier}/{path}", json={})
        assert (answer.status_code, answer.json()["success"]) == (409, False), path
    members = await world.client.put(
        f"/admin/v1/projects/{identifier}/members", json={"user_ids": [user]}, headers=world.admin
    )
    assert members.status_code == 409
    assert await runs_of(world, identifier) == [("ProjectCreated", 1)]


async def test_cancel_suspend_and_delete_are_always_open(world: World) -> None:
    """Each of them takes over a run that goes on."""
    for method, path, event in (
        ("POST", "/cancel", "ProvisioningCancelled"),
        ("POST", "/suspend", "SuspensionRequested"),
        ("DELETE", "", "RemovalRequested"),
    ):
        identifier = await world.create()
        answer = await world.client.request(method, f"/admin/v1/projects/{identifier}{path}", headers=world.admin)
        assert answer.status_code == 202
        assert (await runs_of(world, identifier))[-1] == (event, 2)


async def test_of_many_retries_at_once_one_runs(world: World) -> None:
    """Compare and set: one 202, the others 409, one new run."""
    identifier = await world.create()
    await world.finish(identifier, Status.FAILED)
    answers = await asyncio.gather(*(world.post(f"/{identifier}/retry-provisioning") for _ in range(6)))
    assert sorted(each.status_code for each in answers) == [202] + [409] * 5
    assert await runs_of(world, identifier) == [("ProjectCreated", 1), ("ProvisioningRequested", 2)]


async def test_after_a_cancel_a_retry_is_open_at_once(world: World) -> None:
    """Nobody works on a cancelled run, so nothing needs to be waited for."""
    identifier = await world.create()
    assert (await world.post(f"/{identifier}/cancel")).status_code == 202
    assert (await world.post(f"/{identifier}/cancel")).status_code == 409
    assert (await world.post(f"/{identifier}/retry-provisioning")).status_code == 202


async def test_resume_undoes_a_suspension(world: World) -> None:
    """A suspended project is resumed by a normal run, and nothing else but a delete is open before."""
    identifier = await world.create()
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    assert (await world.status(identifier))["status"] == "suspended"
    for path in ("provision", "retry-provisioning", "suspend", "cancel"):
        assert (await world.post(f"/{identifier}/{path}")).status_code == 409
    assert (await world.post(f"/{identifier}/resume")).status_code == 202
    assert (await world.outbox(identifier))[-1]["data"]["reason"] == "resume"


async def test_a_retry_keeps_the_participants(world: World) -> None:
    """Somebody who joined the tenant meanwhile is in after a provision, not after a retry."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier, Status.FAILED)
    new = {"name": "Late", "email": f"late{tenant.id}@uca.test", "role": "member", "tenant_id": tenant.id}
    late = (await world.client.post("/admin/v1/users", json=new, headers=world.admin)).json()["data"]["id"]
    await world.post(f"/{identifier}/retry-provisioning")
    assert late not in participants(await world.outbox(identifier))
    await world.finish(identifier, Status.FAILED)
    await world.post(f"/{identifier}/provision")
    assert late in participants(await world.outbox(identifier))
    local = (await world.status(identifier))["project"]["users"]["local"]
    assert late in {user["id"] for user in local}


def participants(events: list[dict[str, object]]) -> set[int]:
    data = events[-1]["data"]
    assert isinstance(data, dict)
    return {each["user_id"] for each in data["participants"]}


async def test_members_become_a_run(world: World) -> None:
    """Who is added joins, who is no longer named leaves, who is in for another reason stays."""
    tenant, other = await world.tenant(), await world.tenant()
    first, second = other.members
    identifier = await world.create(tenant, user_ids=[first])
    await world.finish(identifier)
    path = f"/admin/v1/projects/{identifier}/members"
    answer = await world.client.put(path, json={"user_ids": [second, second]}, headers=world.admin)
    assert answer.status_code == 202
    event = (await world.outbox(identifier))[-1]["data"]
    assert event["reason"] == "members"
    assert [each["user_id"] for each in event["removed"]] == [first]
    assert {second, *tenant.members} <= {each["user_id"] for each in event["participants"]}
    users = (await world.get(f"/{identifier}")).json()["data"]["users"]
    assert {second, *tenant.members} <= {each["id"] for each in users}
    assert first not in {each["id"] for each in users}
    assert (await world.status(identifier))["progress"]["total"] == len(users) + 1 + 2


async def test_a_failed_removal_of_members_is_retried(world: World) -> None:
    """Those who were to leave are still to leave in the retry."""
    tenant, other = await world.tenant(), await world.tenant()
    identifier = await world.create(tenant, user_ids=[other.members[0]])
    await world.finish(identifier)
    await world.client.put(f"/admin/v1/projects/{identifier}/members", json={"user_ids": []}, headers=world.admin)
    await world.finish(identifier, Status.FAILED)
    await world.post(f"/{identifier}/retry-provisioning")
    assert [each["user_id"] for each in (await world.outbox(identifier))[-1]["data"]["removed"]] == [other.members[0]]


async def test_an_unknown_member_is_a_422(world: World) -> None:
    """And changes nothing."""
    identifier = await world.create()
    await world.finish(identifier)
    path = f"/admin/v1/projects/{identifier}/members"
    answer = await world.client.put(path, json={"user_ids": [99_999_999]}, headers=world.admin)
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["user_ids"])
    assert (await world.status(identifier))["run"] == 1


async def test_one_user_is_redone(world: World) -> None:
    """A sync of one participant asks for them afresh; somebody who isn't in is a 404."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    assert (await world.post(f"/{identifier}/users/99999999/sync")).status_code == 404
    assert (await world.post(f"/{identifier}/users/{tenant.members[0]}/sync")).status_code == 202
    event = (await world.outbox(identifier))[-1]["data"]
    assert (event["reason"], event["redo"]) == ("user-sync", [tenant.members[0]])


async def test_a_retry_leaves_a_credential_that_was_issued(world: World) -> None:
    """Somebody else's failure is no reason to revoke what was handed out; what has failed is asked for again."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    synced, failed = tenant.members
    for run, user in enumerate((synced, failed), start=2):
        await world.post(f"/{identifier}/users/{user}/sync")
        await world.finish(identifier, Status.FAILED)
        await world.user_fact(identifier, user, "failed" if user == failed else "synced", run=run)
    await world.post(f"/{identifier}/retry-provisioning")
    assert (await world.outbox(identifier))[-1]["data"]["redo"] == [failed]


@pytest.mark.parametrize(
    ("between", "after"), [("cancel", "retry-provisioning"), ("cancel", "provision"), ("suspend", "resume")]
)
async def test_an_accepted_sync_outlives_what_comes_between(world: World, between: str, after: str) -> None:
    """It was answered 202, and neither a cancelled run nor a suspension has done it."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    await world.post(f"/{identifier}/users/{tenant.members[0]}/sync")
    assert (await world.post(f"/{identifier}/{between}")).status_code == 202
    if between == "suspend":
        await world.user_fact(identifier, tenant.members[0], "revoked", run=3)
        await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    assert (await world.post(f"/{identifier}/{after}")).status_code == 202
    event = (await world.outbox(identifier))[-1]
    assert (event["type"], event["data"]["redo"]) == ("ProvisioningRequested", [tenant.members[0]])


async def test_a_delete_ends_in_a_404(world: World) -> None:
    """It shows "Removing…" and no actions, frees the name at once, and goes with the link; old news change nothing."""
    tenant = await world.tenant()
    identifier = await world.create(tenant, name="Leaving")
    assert (await world.client.delete(f"/admin/v1/projects/{identifier}", headers=world.admin)).status_code == 202
    found = await world.status(identifier)
    assert (found["status"], found["progress"]["message"]) == ("suspended", "Removing…")
    assert not any(found["actions"].values())
    again = await world.client.delete(f"/admin/v1/projects/{identifier}", headers=world.admin)
    assert (again.status_code, again.json()["run"]) == (202, 2)
    assert await world.create(tenant, name="Leaving") != identifier
    for run, expected in ((1, 200), (2, 404)):
        async with world.parts.database.transaction() as tx:
            event = LinkRemoved(identifier=identifier, run=run, provider_project_id="p")
            await handlers.forget_project(event, tx=tx, parts=world.parts)
        assert (await world.get(f"/{identifier}/status")).status_code == expected
    assert not await world.rows("SELECT 1 FROM participants WHERE identifier = $1", identifier)


async def test_a_failed_removal_is_retried_as_one(world: World) -> None:
    """Retry goes on with the removal; nothing brings the project back."""
    identifier = await world.create()
    await world.client.delete(f"/admin/v1/projects/{identifier}", headers=world.admin)
    await world.finish(identifier, Status.FAILED, Kind.REMOVE)
    assert (await world.status(identifier))["actions"]["can_retry"] is True
    for path in ("provision", "cancel", "suspend", "resume"):
        assert (await world.post(f"/{identifier}/{path}")).status_code == 409
    retried = await world.post(f"/{identifier}/retry-provisioning")
    assert (retried.status_code, retried.json()["message"]) == (202, "The project is being deleted.")
    assert (await runs_of(world, identifier))[-1] == ("RemovalRequested", 3)


async def test_a_status_put_right_leaves_a_run_alone_that_is_just_asked_for(world: World) -> None:
    """The verdict is about the run before; written over the new one it would keep every sweep from it."""
    identifier = await world.create()
    await world.finish(identifier, Status.FAILED)
    await world.rows("UPDATE projects SET open = false, status = 'active' WHERE identifier = $1", identifier)
    async with world.parts.database.transaction() as tx:
        raising = "UPDATE projects SET run = 2, open = true, status = 'provisioning' WHERE identifier = :identifier"
        await tx.execute(raising, {"identifier": identifier})
        mending = asyncio.create_task(world.post(f"/{identifier}/sync-status"))
        while not (mending.done() or await world.rows(LOCK_WAITS)):  # noqa: ASYNC110 - the database's state
            await asyncio.sleep(0.01)
    assert (await mending).status_code == 200
    (row,) = await world.rows("SELECT run, open, status FROM projects WHERE identifier = $1", identifier)
    assert tuple(row) == (2, True, "provisioning")
