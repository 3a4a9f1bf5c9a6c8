"""What a change of a user starts."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import pytest
from backbone.testing import LOCK_WAITS
from contracts.status import Kind, Status
from project_api.directory import users
from project_api.runs import user_runs
from project_api.runs.estimates import DEFAULT_SECONDS
from project_api.testing import World

PARTICIPANTS = "SELECT user_id, email FROM participants WHERE identifier = $1 ORDER BY user_id"


async def test_a_removed_user_leaves_their_projects(world: World) -> None:
    """A run starts in each, which takes their access away; one that was going on is superseded."""
    tenant = await world.tenant()
    projects = [await world.create(tenant), await world.create(tenant)]
    await world.finish(projects[0])
    user = tenant.members[0]
    answer = await world.client.delete(f"/admin/v1/users/{user}", headers=world.admin)
    assert answer.status_code == 200, answer.text
    for identifier in projects:
        event = (await world.outbox(identifier))[-1]
        assert (event["type"], event["run"], event["data"]["reason"]) == ("ProvisioningRequested", 2, "members")
        assert [each["user_id"] for each in event["data"]["removed"]] == [user]
        assert user not in {each["user_id"] for each in event["data"]["participants"]}
        users = (await world.get(f"/{identifier}")).json()["data"]["users"]
        assert user not in {each["id"] for each in users}


async def test_the_run_of_a_change_is_as_long_as_any(world: World) -> None:
    """Its deadline and its estimate are those of a run that is asked for now, not those of the run before."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.rows(
        "UPDATE projects SET deadline_at = requested_at + interval '7 s', estimate = $2 WHERE identifier = $1",
        identifier,
        '{"p50_seconds": 7, "p95_seconds": 7, "runs": 20}',
    )
    await world.client.delete(f"/admin/v1/users/{tenant.members[0]}", headers=world.admin)
    data = (await world.outbox(identifier))[-1]["data"]
    requested = datetime.fromisoformat(data["requested_at"])
    allowed = timedelta(seconds=world.parts.settings.run_deadline_seconds)
    assert datetime.fromisoformat(data["deadline_at"]) - requested == allowed
    completion = datetime.fromisoformat((await world.status(identifier))["estimated_completion"])
    assert completion - requested == timedelta(seconds=DEFAULT_SECONDS)


async def test_a_changed_email_is_followed(world: World) -> None:
    """The new address is what the run is for; a new name alone starts nothing, and is shown."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    user = tenant.members[0]
    path = f"/admin/v1/users/{user}"
    await world.client.patch(path, json={"name": "Renamed"}, headers=world.admin)
    assert len(await world.outbox(identifier)) == 1
    users = (await world.get(f"/{identifier}")).json()["data"]["users"]
    assert "Renamed" in {each["name"] for each in users}
    await world.client.patch(path, json={"email": f"moved{user}@uca.test"}, headers=world.admin)
    event = (await world.outbox(identifier))[-1]
    assert event["run"] == 2
    assert f"moved{user}@uca.test" in {each["email"] for each in event["data"]["participants"]}


async def test_who_moves_to_another_tenant_leaves_the_former_ones_projects(world: World) -> None:
    """Where that tenant was all they were in for; where they were chosen too they stay, by that alone."""
    former, new = await world.tenant(), await world.tenant()
    user, other = former.members
    only, chosen = await world.create(former), await world.create(former, user_ids=[user])
    elsewhere = await world.create(new, user_ids=[user])
    answer = await world.client.patch(f"/admin/v1/users/{user}", json={"tenant_id": new.id}, headers=world.admin)
    assert answer.json()["runs"] == [only]
    event = (await world.outbox(only))[-1]
    assert [each["user_id"] for each in event["data"]["removed"]] == [user]
    assert other in {each["user_id"] for each in event["data"]["participants"]}
    reasons = "SELECT reasons FROM participants WHERE identifier = $1 AND user_id = $2"
    assert await world.rows(reasons, only, user) == []
    assert [row["reasons"] for row in await world.rows(reasons, chosen, user)] == [["explicit"]]
    assert [row["reasons"] for row in await world.rows(reasons, elsewhere, user)] == [["explicit"]]


async def test_a_move_with_a_new_email_is_told_of_without_the_former_tenant(world: World) -> None:
    """The run in a project where they stay says why they are in it now."""
    former, new = await world.tenant(), await world.tenant()
    user = former.members[0]
    chosen = await world.create(former, user_ids=[user])
    changes = {"tenant_id": new.id, "email": f"moved{user}@uca.test"}
    answer = await world.client.patch(f"/admin/v1/users/{user}", json=changes, headers=world.admin)
    assert answer.json()["runs"] == [chosen]
    data = (await world.outbox(chosen))[-1]["data"]
    [told] = [each for each in data["participants"] if each["user_id"] == user]
    assert (told["email"], told["reasons"], data.get("removed") or []) == (changes["email"], ["explicit"], [])


@pytest.mark.parametrize("change", ["removal", "email", "join"])
async def test_a_project_too_large_for_a_message_stops_no_change(world: World, change: str) -> None:
    """The other projects have their runs; its own participants stay as they are, for a provision to work them out."""
    tenant = await world.tenant()
    large, other = await world.create(tenant), await world.create(tenant)
    first, second = tenant.members
    await world.rows(
        "UPDATE participants SET name = repeat('x', 5000000) WHERE identifier = $1 AND user_id = $2", large, first
    )
    path = f"/admin/v1/users/{second}"
    before = await world.rows(PARTICIPANTS, large)
    match change:
        case "removal":
            answer = await world.client.delete(path, headers=world.admin)
        case "email":
            answer = await world.client.patch(path, json={"email": f"far{second}@uca.test"}, headers=world.admin)
        case _:
            new = {"name": "New", "email": f"new{large}@uca.test", "role": "member", "tenant_id": tenant.id}
            user = (await world.client.post("/admin/v1/users", json=new, headers=world.admin)).json()["data"]["id"]
            answer = await world.client.post(f"/admin/v1/users/{user}/sync-projects", headers=world.admin)
    assert (answer.is_success, answer.json()["runs"]) == (True, [other]), answer.text
    assert await world.rows(PARTICIPANTS, large) == before


async def test_a_suspended_project_stays_so(world: World) -> None:
    """Nobody has access there: the participants change, and no run gives it back."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    await world.client.delete(f"/admin/v1/users/{tenant.members[0]}", headers=world.admin)
    assert (await world.status(identifier))["status"] == "suspended"
    await world.post(f"/{identifier}/resume")
    event = (await world.outbox(identifier))[-1]
    assert tenant.members[0] not in {each["user_id"] for each in event["data"]["participants"]}


async def test_who_leaves_a_suspended_project_is_named_when_it_is_resumed(world: World) -> None:
    """The cloud may have refused to take their access; without their name nobody would hear whether it is gone."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    for user in tenant.members[:2]:
        await world.client.delete(f"/admin/v1/users/{user}", headers=world.admin)
    await world.post(f"/{identifier}/resume")
    event = (await world.outbox(identifier))[-1]
    assert {each["user_id"] for each in event["data"]["removed"]} == set(tenant.members[:2])


async def test_a_changed_role_is_compared_with_the_cloud(world: World) -> None:
    """Another project's run may have given the account another role than this one's record says."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    user = tenant.members[0]
    await world.client.patch(f"/admin/v1/users/{user}", json={"role": "tenant_admin"}, headers=world.admin)
    assert (await world.outbox(identifier))[-1]["data"]["reread"] == [user]


async def test_a_new_user_joins_when_asked_to(world: World) -> None:
    """Into every project of their tenant that they are not in yet, once."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    new = {"name": "New", "email": f"joins{tenant.id}@uca.test", "role": "member", "tenant_id": tenant.id}
    user = (await world.client.post("/admin/v1/users", json=new, headers=world.admin)).json()["data"]["id"]
    assert len(await world.outbox(identifier)) == 1
    path = f"/admin/v1/users/{user}/sync-projects"
    assert (await world.client.post(path, headers=world.admin)).json()["runs"] == [identifier]
    event = (await world.outbox(identifier))[-1]
    assert user in {each["user_id"] for each in event["data"]["participants"]}
    assert (await world.client.post(path, headers=world.admin)).json()["runs"] == []


async def test_a_user_who_is_back_is_not_to_leave(world: World) -> None:
    """Named as leaving and as staying they would be reported once and waited for twice, and the run never end."""
    tenant, other = await world.tenant(), await world.tenant()
    user = tenant.members[0]
    identifier = await world.create(other, user_ids=[user])
    await world.finish(identifier)
    path = f"/admin/v1/projects/{identifier}/members"
    await world.client.put(path, json={"user_ids": []}, headers=world.admin)
    await world.finish(identifier, Status.FAILED)
    await world.client.patch(f"/admin/v1/users/{user}", json={"tenant_id": other.id}, headers=world.admin)
    assert (await world.client.post(f"/admin/v1/users/{user}/sync-projects", headers=world.admin)).status_code == 202
    data = (await world.outbox(identifier))[-1]["data"]
    assert (user in {each["user_id"] for each in data["participants"]}, data["removed"]) == (True, [])
    assert (await world.status(identifier))["progress"]["total"] == len(data["participants"]) + 2


async def test_who_has_left_before_is_not_told_of_again(world: World) -> None:
    """The run before has taken their access; those whose access it could not take are still to leave."""
    tenant = await world.tenant(members=3)
    gone, there, next_one = tenant.members
    identifier = await world.create(tenant)
    await world.finish(identifier)
    for run, user in enumerate((gone, there), start=2):
        await world.client.delete(f"/admin/v1/users/{user}", headers=world.admin)
        await world.user_fact(identifier, user, "failed" if user == there else "revoked", run=run)
    await world.client.delete(f"/admin/v1/users/{next_one}", headers=world.admin)
    data = (await world.outbox(identifier))[-1]["data"]
    assert [each["user_id"] for each in data["removed"]] == [there, next_one]


async def test_an_accepted_sync_outlives_a_change_of_the_directory(world: World) -> None:
    """The new run supersedes the one that was asked for, and does its work too."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    synced, changed = tenant.members
    assert (await world.post(f"/{identifier}/users/{synced}/sync")).status_code == 202
    email = {"email": f"elsewhere{changed}@uca.test"}
    await world.client.patch(f"/admin/v1/users/{changed}", json=email, headers=world.admin)
    assert (await world.outbox(identifier))[-1]["data"]["redo"] == [synced]


@pytest.mark.parametrize("suspended", [False, True])
async def test_a_changed_name_or_a_removal_changes_the_statuss_tag(world: World, suspended: bool) -> None:
    """A page that polls with the tag it has would else show who was there before, for ever."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    if suspended:
        await world.post(f"/{identifier}/suspend")
        await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    else:
        await world.finish(identifier)
    tag = (await world.get(f"/{identifier}/status")).headers["etag"]
    assert (await world.get(f"/{identifier}/status", if_none_match=tag)).status_code == 304
    path = f"/admin/v1/users/{tenant.members[0]}"
    if suspended:
        await world.client.delete(path, headers=world.admin)
    else:
        await world.client.patch(path, json={"name": "Renamed"}, headers=world.admin)
    assert (await world.get(f"/{identifier}/status", if_none_match=tag)).status_code == 200


async def test_a_user_joins_projects_only_while_nobody_removes_them(world: World) -> None:
    """Else a removal that is under way finds no project to take them out of, and they join it a moment later."""
    tenant = await world.tenant()
    await world.create(tenant)
    async with world.parts.database.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtext('project_api.directory'))")
        path = f"/admin/v1/users/{tenant.members[0]}/sync-projects"
        joining = asyncio.create_task(world.client.post(path, headers=world.admin))
        while not (await tx.execute(LOCK_WAITS)).all() and not joining.done():  # noqa: ASYNC110 - the database's state
            await asyncio.sleep(0.01)
        assert not joining.done()
    assert (await joining).status_code == 202


@pytest.mark.parametrize("change", ["email", "removal"])
async def test_a_suspended_project_is_resumed_with_who_is_in_it_by_then(world: World, change: str) -> None:
    """A change that is under way when the command looks is waited for, and seen."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.finish(identifier)
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    user = tenant.members[0]
    async with world.parts.database.transaction() as tx:
        await tx.execute("SELECT pg_advisory_xact_lock(hashtext('project_api.directory'))")
        resuming = asyncio.create_task(world.post(f"/{identifier}/resume"))
        while not (await tx.execute(LOCK_WAITS)).all() and not resuming.done():  # noqa: ASYNC110 - the database's state
            await asyncio.sleep(0.01)
        assert not resuming.done()
        both: Any
        if change == "email":
            both = await users.change(tx, user, {"email": f"new{user}@x.test"})
        else:
            both = await users.remove(tx, user), None
        await user_runs.user_changed(tx, both[0], both[1], world.parts)
    assert (await resuming).status_code == 202
    event = (await world.outbox(identifier))[-1]
    emails = {each["user_id"]: each["email"] for each in event["data"]["participants"]}
    assert emails.get(user) == (f"new{user}@x.test" if change == "email" else None)
