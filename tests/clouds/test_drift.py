"""What somebody changes on the cloud behind our back: verify names it, the sweep tells it, a repair mends it."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import pytest
from clouds.port import ProjectSpec

from tests.clouds.conftest import Ground, until
from tests.clouds.test_faulty_cloud import create
from tests.e2e.conftest import Portal

TOLD = "SELECT data FROM status_projector.events WHERE identifier = $1 AND type = $2"
CLOUDS = {"simulator": {"region": "region-1"}, "keystone": {"region": "busy", "provider": "keystone"}}


@pytest.fixture(scope="module")
async def sweeping(ground: Ground) -> AsyncIterator[None]:
    """The sweep is off by default; here it goes round every second, and leaves out what earlier tests have left."""
    await ground.rows("UPDATE user_syncer.runs SET compared_at = 'infinity'")
    await asyncio.to_thread(ground.restart_syncer, DRIFT_SWEEP_SECONDS="1")
    yield
    await asyncio.to_thread(ground.restart_syncer)


@pytest.mark.usefixtures("sweeping")
@pytest.mark.parametrize("where", CLOUDS.values(), ids=CLOUDS)
async def test_drift_is_found_and_repaired(portal: Portal, ground: Ground, where: dict[str, str]) -> None:
    """One user's role and key are taken away; afterwards this user alone has a new key."""
    tenant, users = await portal.tenant(2)
    (identifier,) = await create(portal, tenant, 1, **where)
    await portal.ended(identifier, "active")
    assert (await portal.done("GET", f"/projects/{identifier}/verify"))["in_sync"]
    victim = users[0]
    before = await _keys(ground, identifier)
    await _take_away(ground, where["region"], identifier, victim["id"])
    found = (await portal.done("GET", f"/projects/{identifier}/verify"))["drift"]
    # zCompute shows no policies: with the role they may be gone, too.
    missing = ["grant_role", "issue_key"] if "provider" in where else ["grant_role", "attach_policy", "issue_key"]
    assert [(each["user_id"], each["actions"]) for each in found] == [(victim["id"], missing)]
    told = await until(partial(ground.rows, TOLD, identifier, "DriftDetected"))
    assert json.loads(told[0]["data"])["user_id"] == victim["id"]
    assert (await portal.done("POST", f"/projects/{identifier}/repair"))["status"] == "provisioning"
    assert (await portal.ended(identifier, "active", "failed"))["status"] == "active"
    assert (await portal.done("GET", f"/projects/{identifier}/verify"))["in_sync"]
    after = await _keys(ground, identifier)
    assert [user for user in before if before[user] != after[user]] == [victim["id"]]


@pytest.mark.usefixtures("sweeping")
@pytest.mark.parametrize("where", CLOUDS.values(), ids=CLOUDS)
async def test_an_orphan_is_told(portal: Portal, ground: Ground, where: dict[str, str]) -> None:
    """A cloud project with our mark and no record comes to the event log, where the cloud lists it; it stays there."""
    clouds = ground.clouds()
    orphan = ProjectSpec(f"ORPHAN{secrets.token_hex(4)}", "Lost")
    made = await clouds.open(where["region"]).ensure_project(orphan)
    (told,) = await until(partial(ground.rows, TOLD, orphan.identifier, "OrphanFound"))
    data = json.loads(told["data"])
    assert (data["region"], data["provider_project_id"]) == (where["region"], made.id)
    assert await clouds.open(where["region"]).delete_project(orphan) == made.id
    await clouds.aclose()


async def _keys(ground: Ground, identifier: str) -> dict[int, str]:
    rows = await ground.rows("SELECT user_id, key_id FROM user_syncer.members WHERE identifier = $1", identifier)
    return {row["user_id"]: row["key_id"] for row in rows}


async def _take_away(ground: Ground, region: str, identifier: str, user_id: int) -> None:
    """As an admin of the cloud would."""
    clouds = ground.clouds()
    cloud: Any = clouds.open(region)
    (member,) = await ground.rows(
        "SELECT * FROM user_syncer.members WHERE identifier = $1 AND user_id = $2", identifier, user_id
    )
    project = member["provider_project_id"]
    snapshot = await cloud.read_snapshot(ProjectSpec(identifier, "any"), project)
    account = snapshot.users[member["email"].lower()]
    await cloud.revoke_role(project, account.id, member["role"])
    await cloud.revoke_key(project, account, member["key_id"])
    await clouds.aclose()
