"""The cloud against our records, on the cloud simulator."""

import dataclasses
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from cloud_simulator.testing import RunningSimulator, running_simulator
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from clouds.reconcile import plan
from clouds.regions import Region
from contracts.events import Participant
from contracts.status import Kind, Status
from project_api import previewing, verification
from project_api.auth.tokens import Principal
from project_api.parts import Caller, Parts
from project_api.testing import World, known_to_syncer
from project_api.web.errors import Problem
from pydantic import SecretStr


@pytest.fixture(scope="module")
async def simulator() -> AsyncIterator[RunningSimulator]:
    """A cloud of these tests' own."""
    async with running_simulator() as simulator:
        yield simulator


@pytest.fixture(scope="module")
async def caller(world: World, simulator: RunningSimulator) -> AsyncIterator[Caller]:
    """An administrator over parts whose region is the simulator."""
    region = Region(
        code="region-1",
        name="Region 1",
        provider="zadara",
        url=simulator.url,
        account=simulator.account,
        username=simulator.settings.username,
        password=SecretStr(simulator.settings.password),
    )
    clouds = Clouds({"region-1": region})
    parts: Parts = dataclasses.replace(world.parts, clouds=clouds)
    yield Caller(Principal(world.admin_id, "admin", None, "ada@uca.test"), parts)
    await clouds.aclose()


async def provision(caller: Caller, world: World, identifier: str) -> None:
    """What the workers would do on the cloud; nothing of it is in our records."""
    cloud = caller.parts.clouds.open("region-1")
    row = await verification.find_project(caller, identifier)
    spec = ProjectSpec(identifier, row.name)
    project = await cloud.ensure_project(spec)
    everybody = [verification.desired_user(cloud, Participant.model_validate(each), rotate=True) for each in row.people]
    snapshot = await cloud.read_snapshot(spec, project.id)
    for change in plan(everybody, snapshot, {}, cloud.capabilities):
        await cloud.sync_user(project.id, change)
    await world.finish(identifier)


async def test_a_preview_says_who_and_why_and_what(caller: Caller, world: World, simulator: RunningSimulator) -> None:
    """Before anything is there: everybody with their reasons, all that would be made, and nothing is."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    before = await simulator.stats()
    data: dict[str, Any] = (await previewing.run(caller, identifier))["data"]
    assert {each["id"] for each in data["participants"]} >= {*tenant.members, tenant.tenant_admin}
    assert all(each["reasons"] for each in data["participants"])
    assert data["changes"][0]["actions"] == ["create_project"]
    assert len(data["changes"]) == 1 + len(data["participants"])
    assert all("create_user" in each["actions"] for each in data["changes"][1:])
    assert data["calls"] > len(data["participants"])
    assert (await simulator.stats())["objects"] == before["objects"]
    assert (await world.status(identifier))["run"] == 1


async def test_verify_finds_the_project_missing(caller: Caller, world: World) -> None:
    """A project that was never linked, or vanished behind our back."""
    identifier = await world.create()
    found = await verification.verify(caller, identifier)
    assert (found["success"], found["provider"], found["project_exists"]) == (True, "zadara", False)
    assert found["in_sync"] is False


async def test_verify_names_the_drift_of_each_user(caller: Caller, world: World) -> None:
    """On a cloud that has all accounts and grants, what differs is the keys that we have no record of."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await provision(caller, world, identifier)
    found = await verification.verify(caller, identifier)
    assert found["project_exists"] is True
    assert {each["user_id"] for each in found["drift"]} >= {*tenant.members}
    actions = {action for each in found["drift"] for action in each["actions"]}
    assert "issue_key" in actions
    assert not actions & {"create_user", "grant_role", "revoke_role"}


async def test_a_former_account_is_shown(
    caller: Caller, world: World, syncer: Any, simulator: RunningSimulator
) -> None:
    """In preview and verify: one that is on the cloud under an older e-mail, and that of an attempt whose end nobody
    knows; not one that was never made there.
    """
    tenant = await world.tenant(members=1)
    identifier, user = await world.create(tenant), tenant.members[0]
    await provision(caller, world, identifier)
    cloud: Any = caller.parts.clouds.open("region-1")
    old, tried, never = (f"{name}@{identifier}.test".lower() for name in ("old", "tried", "never"))
    for name in (old, tried):
        await cloud.ensure_user(name)
    await known_to_syncer(syncer, identifier, tenant.id)
    await syncer.execute(
        "INSERT INTO member_records (identifier, user_id, email, role, state, run, former, may_have_issued,"
        " asked_email, asked_role) VALUES ($1, $2, $3, '_member_', 'pending', 1, $4, true, $5, '_member_')",
        identifier,
        user,
        f"u{user}@uca.test",
        json.dumps([{"user_id": user, "email": email, "role": "_member_"} for email in (old.upper(), never)]),
        tried,
    )
    changes = (await previewing.run(caller, identifier))["data"]["changes"]
    drift = (await verification.verify(caller, identifier))["drift"]
    for found in (changes, drift):
        (mine,) = [each for each in found if each["user_id"] == user]
        assert mine["former"] == [old, tried]
        assert "revoke_former_account" in mine["actions"]
    assert not any(each["former"] for each in drift if each["user_id"] != user)
    await cloud.delete_project(ProjectSpec(identifier, "any"))
    changes = (await previewing.run(caller, identifier))["data"]["changes"]
    assert not any("revoke_former_account" in each["actions"] for each in changes)


async def test_a_repair_is_a_run_that_rereads_whoever_differs(caller: Caller, world: World) -> None:
    """A 202 with the drift; while the run goes on a 409; what is in sync asks for no run."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await provision(caller, world, identifier)
    status, answer = await verification.repair(caller, identifier)
    assert (status, answer["run"], answer["status"]) == (202, 2, "provisioning")
    row = await verification.find_project(caller, identifier)
    differing = [each["user_id"] for each in answer["drift"]]
    assert (row.command["reason"], row.command["reread"]) == ("repair", differing)
    with pytest.raises(Problem) as refused:
        await verification.repair(caller, identifier)
    assert refused.value.status == 409
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    assert (await verification.repair(caller, identifier))[0] == 200


async def test_a_suspended_project_should_have_nobody(caller: Caller, world: World) -> None:
    """Without records of anybody there is nothing to differ."""
    identifier = await world.create()
    await provision(caller, world, identifier)
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    assert (await verification.verify(caller, identifier))["in_sync"] is True


async def test_a_project_that_was_suspended_before_it_was_made_is_not_missing(
    caller: Caller, world: World, syncer: Any
) -> None:
    """Its first run was cancelled while the cloud was away; one whose members had accounts there is missing."""
    tenant = await world.tenant(members=1)
    identifier = await world.create(tenant)
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    assert (await verification.verify(caller, identifier))["in_sync"] is True
    await known_to_syncer(syncer, identifier, tenant.id)
    await syncer.execute(
        "INSERT INTO member_records (identifier, user_id, email, provider_user_id, run, state)"
        " VALUES ($1, $2, 'gone@uca.test', 'u1', 1, 'revoked')",
        identifier,
        tenant.members[0],
    )
    assert (await verification.verify(caller, identifier))["in_sync"] is False


async def test_a_cloud_that_is_away_is_a_503(world: World) -> None:
    """In words, with when to come again; the same for both addresses and the preview."""
    identifier = await world.create()
    answers: list[httpx.Response] = [
        await world.get(f"/{identifier}/verify"),
        await world.get(f"/{identifier}/verify-zadara"),
        await world.post(f"/{identifier}/provision-simulated"),
    ]
    for answer in answers:
        assert (answer.status_code, answer.json()["success"]) == (503, False)
        assert "retry-after" in answer.headers


async def test_a_region_in_maintenance_is_a_409(world: World) -> None:
    """It is not called, at an admin's word; no time is known to come again."""
    identifier = await world.create()
    world.parts.clouds.set_maintenance("region-1", on=True)
    try:
        answer = await world.get(f"/{identifier}/verify")
    finally:
        world.parts.clouds.set_maintenance("region-1", on=False)
    words = "The cloud could not be read: The region is in maintenance."
    assert (answer.status_code, answer.json()["message"]) == (409, words)
