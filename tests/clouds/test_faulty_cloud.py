"""The whole system on clouds that fail: every run ends active, nothing is made twice, no key is left over."""

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest
from clouds import keystone_look

from tests.clouds.conftest import WELL, Ground
from tests.e2e.conftest import Portal

PROJECTS = 3
USERS = 4
FAULTS: Mapping[str, Mapping[str, Any]] = {
    "500s": {"error_rate": 0.3, "error_status": 500},
    "503s": {"error_rate": 0.3, "error_status": 503},
    "hangs": {"hang_rate": 0.3},
    "cuts after success": {"cut_after_success_rate": 0.3},
    "all at once": {"error_rate": 0.1, "hang_rate": 0.1, "cut_after_success_rate": 0.1, "rate_limit_per_s": 200},
}
MEMBERS = "SELECT identifier, email, key_id FROM user_syncer.members WHERE identifier = ANY($1::text[]) ORDER BY email"


async def create(portal: Portal, tenant: int, number: int = PROJECTS, **where: str) -> list[str]:
    """Identifiers of that many projects, made side by side."""
    answers = await asyncio.gather(*(portal.create(tenant_id=tenant, **where) for _ in range(number)))
    return [answer["identifier"] for answer in answers]


async def ends(portal: Portal, identifiers: list[str]) -> list[str]:
    """Their last words."""
    return [(await portal.ended(each, "active", "failed"))["status"] for each in identifiers]


@pytest.mark.parametrize("fault", FAULTS)
async def test_a_third_of_the_calls_fail(portal: Portal, ground: Ground, fault: str) -> None:
    """Each project becomes active at the first go; the cloud's keys are exactly those whose secrets are stored."""
    tenant, _ = await portal.tenant(USERS)
    before = await portal.stats()
    await portal.behave(**FAULTS[fault])
    identifiers = await create(portal, tenant)
    assert await ends(portal, identifiers) == ["active"] * PROJECTS
    await portal.behave(**WELL)
    after = await portal.stats()
    assert after["duplicate_effects"] == before["duplicate_effects"]
    assert after["objects"]["projects"] - before["objects"]["projects"] == PROJECTS
    known = sorted(row["key_id"] for row in await ground.rows(MEMBERS, identifiers))
    live = [key["access_key"] for each in identifiers for key in (await portal.objects(each))["keys"]]
    assert sorted(live) == known


async def test_a_keystone_that_refuses_concurrent_writes(portal: Portal, ground: Ground) -> None:
    """Its "database is locked" answers are sat out; one project each, a role and a key for everybody, none beside."""
    tenant, _ = await portal.tenant(USERS)
    identifiers = await create(portal, tenant, 3, region="busy", provider="keystone")
    assert await ends(portal, identifiers) == ["active"] * 3
    assert "database is locked" in (ground.keystone.home / "server.log").read_text(errors="replace")
    for identifier in identifiers:
        (project,) = await asyncio.to_thread(keystone_look.look, ground.keystone, identifier)
        rows = await ground.rows(MEMBERS, [identifier])
        assert project["enabled"]
        assert project["roles"] == [[row["email"].lower(), "member"] for row in rows]
        assert project["keys"] == [[row["email"].lower(), row["key_id"]] for row in rows]
