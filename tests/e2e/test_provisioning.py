"""The main job through HTTP alone: what an admin asks for is what the cloud has in the end."""

import asyncio
import os
import signal

import httpx
import pytest
from local.stack import Stack

from tests.e2e.conftest import KINDS, Portal

PROJECTS = 60
"""That run while a service is killed."""

SERVICES = "project-api", "link-provisioner", "user-syncer", "status-projector"


async def test_a_project_becomes_active_with_every_participant(portal: Portal) -> None:
    """The answer says provisioning; in the end every participant has a role, a policy and one key on the cloud."""
    tenant, users = await portal.tenant(25)
    answer = await portal.create(tenant_id=tenant)
    assert (answer["status"], answer["data"]["id"]) == ("provisioning", answer["identifier"])
    status = await portal.ended(answer["identifier"], "active", "failed")
    assert (status["status"], status["progress"]["percent"]) == ("active", 100)
    assert [step["status"] for step in status["project"]["provisioning_progress"]] == ["completed"] * 3
    people = status["project"]["users"]["local"]
    assert {user["id"] for user in users} <= {person["id"] for person in people}
    assert {person["status"] for person in people} == {"synced"}
    cloud = await portal.objects(answer["identifier"])
    assert [len(cloud[kind]) for kind in ("grants", "policies", "keys")] == [len(people)] * 3


async def test_the_documents_polling_code_sees_the_end(portal: Portal) -> None:
    """`status.data` read as the body or as its `data`: both carry status and progress until one of the final words."""
    answer = await portal.create()
    assert (answer["status"], bool(answer["identifier"])) == ("provisioning", True)
    seen: list[str] = []
    async with asyncio.timeout(60):
        while not seen or seen[-1] not in ("active", "failed"):
            body = await portal.status(answer["identifier"])
            assert body["progress"] == body["data"]["progress"]
            assert body["status"] == body["data"]["status"] == body["project"]["status"]
            seen.append(body["status"])
            await asyncio.sleep(0.05)
    assert seen[-1] == "active"


async def test_one_bad_user_fails_alone_and_a_retry_heals(portal: Portal) -> None:
    """The run is failed with that user and the reason; all others are synced; the retry makes nobody twice."""
    tenant, users = await portal.tenant(6)
    before = await portal.stats()
    await portal.behave(fail_emails=[users[0]["email"]])
    identifier = (await portal.create(tenant_id=tenant))["identifier"]
    failed = await portal.ended(identifier, "active", "failed")
    assert failed["status"] == "failed"
    assert failed["failure"]["user"] == {"id": users[0]["id"], "email": users[0]["email"]}
    assert failed["actions"]["can_retry"]
    assert users[0]["email"] in failed["error"]
    by_status = {person["id"]: person["status"] for person in failed["project"]["users"]["local"]}
    assert [by_status.pop(users[0]["id"]), *set(by_status.values())] == ["failed", "synced"]
    await portal.behave(fail_emails=[])
    await portal.done("POST", f"/projects/{identifier}/retry-provisioning")
    assert (await portal.ended(identifier, "active", "failed"))["status"] == "active"
    after = await portal.stats()
    assert after["objects"]["users"] - before["objects"]["users"] in (6, 8)  # the two admins may have been there
    assert after["duplicate_effects"] == 0


async def test_members_come_and_go(portal: Portal) -> None:
    """A removed member loses grant, policy and key; an added one gets them; the others keep the key they have."""
    _, users = await portal.tenant(3)
    chosen = [user["id"] for user in users]
    identifier = (await portal.create(user_ids=chosen[:2]))["identifier"]
    await portal.ended(identifier, "active")
    keys = {key["access_key"] for key in (await portal.objects(identifier))["keys"]}
    await portal.done("PUT", f"/projects/{identifier}/members", json={"user_ids": chosen[1:]})
    status = await portal.ended(identifier, "active", "failed")
    assert status["status"] == "active"
    cloud = await portal.objects(identifier)
    left = {key["access_key"] for key in cloud["keys"]}
    assert (len(keys - left), len(left - keys)) == (1, 1)
    assert len(cloud["grants"]) == len(cloud["policies"]) == len(left)


async def test_suspend_resume_and_delete(portal: Portal) -> None:
    """Suspended, nobody has access; resumed, all do again; deleted, the cloud has nothing left and the name is free."""
    answer = await portal.create()
    identifier, name = answer["identifier"], answer["data"]["name"]
    await portal.ended(identifier, "active")
    await portal.done("POST", f"/projects/{identifier}/suspend")
    await portal.ended(identifier, "suspended")
    suspended = await portal.objects(identifier)
    assert [suspended[kind] for kind in KINDS] == [[], [], []]
    await portal.done("POST", f"/projects/{identifier}/resume")
    await portal.ended(identifier, "active")
    assert (await portal.objects(identifier))["keys"]
    await portal.done("DELETE", f"/projects/{identifier}")
    await portal.gone(identifier)
    assert (await portal.objects(identifier))["project"] is None
    again = await portal.create(name=name)
    assert (await portal.ended(again["identifier"], "active", "failed"))["status"] == "active"


async def test_a_cancelled_run_writes_nothing_more(portal: Portal) -> None:
    """Cancel ends the run as failed, code cancelled, and with the calls that were under way the cloud stays as it is; a
    run asked for afterwards ends active.
    """
    tenant, people = await portal.tenant(60)
    await portal.behave(latency_ms={"project": 0, "user": 1000})
    identifier = (await portal.create(tenant_id=tenant))["identifier"]
    async with asyncio.timeout(60):
        while not (await portal.objects(identifier))["grants"]:  # noqa: ASYNC110 - the simulator tells nobody
            await asyncio.sleep(0.05)
    await portal.done("POST", f"/projects/{identifier}/cancel")
    status = await portal.ended(identifier, "failed", "active")
    assert (status["status"], status["failure"]["code"]) == ("failed", "cancelled")
    calls = -1
    async with asyncio.timeout(60):
        while calls < (calls := (await portal.stats())["calls"]["total"]):  # noqa: ASYNC110 - until nothing comes any more
            await asyncio.sleep(2.5)
    assert len((await portal.objects(identifier))["keys"]) < len(people)
    await portal.behave(latency_ms={"project": 0, "user": 0})
    await portal.done("POST", f"/projects/{identifier}/provision")
    assert (await portal.ended(identifier, "active", "failed"))["status"] == "active"
    assert (await portal.stats())["duplicate_effects"] == 0


async def test_the_timeline_tells_the_run(portal: Portal) -> None:
    """Every event of the project, newest first, each once and in words."""
    identifier = (await portal.create())["identifier"]
    await portal.ended(identifier, "active")
    events = (await portal.done("GET", f"/projects/{identifier}/events", params={"per_page": 100}))["data"]
    types = [event["type"] for event in events]
    assert (types[-1], types[-2]) == ("ProjectCreated", "LinkEnsured")
    assert set(types[:-2]) == {"UserSynced"}
    assert len({event["id"] for event in events}) == len(events)


@pytest.mark.parametrize("service", SERVICES)
async def test_a_killed_service_loses_and_doubles_nothing(portal: Portal, stack: Stack, service: str) -> None:
    """SIGKILL of one replica while 60 projects run: every project that was answered becomes active, none twice.

    project-api's is killed when a third of them are answered, a worker's when the cloud has the first keys.
    """
    tenant, members = await portal.tenant(4)
    users = PROJECTS * len(members)
    await portal.behave(latency_ms={"project": 100, "user": 50})

    async def keys() -> int:
        count: int = (await portal.stats())["objects"]["active_keys"]
        return count

    before = await keys()
    victim = int((stack.directory / f"{service}.pid").read_text())
    accepted = []

    async def create(number: int) -> None:
        key = {"Idempotency-Key": f'"{service}-{os.getpid()}-{number}"'}
        body = {"name": f"{service} {os.getpid()} {number}", "region": "region-2", "tenant_id": tenant}
        for _ in range(50):
            try:
                answer = await portal.ask("POST", "/projects", json=body, headers=key)
            except httpx.TransportError:  # the replica that was killed; the next request goes to the other one
                continue
            assert answer.status_code in (201, 409, 503), answer.text
            if answer.status_code == httpx.codes.CREATED:
                accepted.append(answer.json()["identifier"])
                return

    async with asyncio.TaskGroup() as group:
        for number in range(PROJECTS):
            group.create_task(create(number))
        at_work = 0
        while not at_work:
            await asyncio.sleep(0.01)
            at_work = len(accepted) // (PROJECTS // 3) if service == "project-api" else await keys() - before
        assert at_work < users, "everything was over before the kill"
        os.kill(victim, signal.SIGKILL)
    assert len(accepted) == PROJECTS
    await asyncio.to_thread(stack.up, replicas=2)
    for identifier in accepted:
        assert (await portal.ended(identifier, "active", "failed"))["status"] == "active"
    assert (await portal.stats())["duplicate_effects"] == 0
