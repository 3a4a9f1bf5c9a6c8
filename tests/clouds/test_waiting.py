"""A cloud that is away, slow or in maintenance: work waits without spending tries, says so, and goes on by itself."""

import asyncio
import json
import re
from typing import Any

import httpx

from tests.clouds.conftest import WELL, Ground, until
from tests.clouds.test_faulty_cloud import create, ends
from tests.e2e.conftest import Portal

WORKERS = 2
"""Services that call clouds."""
KNOWN = re.compile(r'uca_cloud_maintenance\{[^}]*region="region-1"[^}]*\} 1')
TOLD = "SELECT data FROM status_projector.events WHERE identifier = $1 AND type = 'ProvisioningDelayed' ORDER BY time"


async def waiting(portal: Portal, identifier: str, code: str) -> dict[str, Any]:
    """The status once it says that this is waited for."""

    async def look() -> dict[str, Any] | None:
        status = await portal.status(identifier)
        return status if (status["waiting"] or {}).get("code") == code else None

    return await until(look) or {}


async def every_worker_knows(ground: Ground) -> bool:
    """Of the maintenance; services that call no cloud have nothing to say of it."""
    async with httpx.AsyncClient() as client:
        pages = [(await client.get(url)).text for url in ground.values["UCA_METRICS_URLS"].split(",")]
    told = [page for page in pages if "uca_cloud_maintenance{" in page]
    return len(told) >= WORKERS and all(KNOWN.search(page) for page in told)


async def test_a_cloud_that_is_away(portal: Portal, ground: Ground) -> None:
    """The breaker parks the work at no cost of tries; the status says why; once the cloud is back it ends active."""
    tenant, _ = await portal.tenant(2)
    await portal.behave(down=True)
    identifiers = await create(portal, tenant, 5)
    status = await waiting(portal, identifiers[0], "provider")
    assert status["status"] == "provisioning"
    assert status["progress"]["message"].startswith("Waiting for the provider: ")
    await asyncio.sleep(2)  # nothing tells of tries that are not made: many more than three would fit in here
    await portal.behave(**WELL)
    assert await ends(portal, identifiers) == ["active"] * 5
    told = [json.loads(row["data"]) for row in await ground.rows(TOLD, identifiers[0])]
    attempts = [each["attempt"] for each in told if each["code"] == "provider"]
    assert max(attempts) < 3, "a wait for the breaker has spent a try"


async def test_maintenance_of_a_region(portal: Portal, ground: Ground) -> None:
    """While an admin says so no call is made; the status says it, and the end of it lets the run go on."""
    tenant, _ = await portal.tenant(2)
    await portal.done("POST", "/providers/region-1/maintenance", json={"reason": "new disks"})
    try:
        await until(lambda: every_worker_knows(ground))
        before = (await portal.stats())["calls"]["total"]
        (identifier,) = await create(portal, tenant, 1)
        assert (await waiting(portal, identifier, "maintenance"))["waiting"]["attempt"] == 1
        assert (await portal.stats())["calls"]["total"] == before
    finally:
        await portal.done("DELETE", "/providers/region-1/maintenance")
    assert await ends(portal, [identifier]) == ["active"]


async def test_a_rate_limit_is_honoured(portal: Portal) -> None:
    """Few calls go out to be refused: after a 429 the whole region waits as long as it was told."""
    tenant, _ = await portal.tenant(20)
    before = await portal.stats()
    await portal.behave(rate_limit_per_s=20, retry_after_s=1)
    identifiers = await create(portal, tenant, 2)
    assert await ends(portal, identifiers) == ["active"] * 2
    after = await portal.stats()
    refused = after["rate_limited"] - before["rate_limited"]
    assert 0 < refused <= 0.4 * (after["calls"]["total"] - before["calls"]["total"])
    assert after["duplicate_effects"] == before["duplicate_effects"]


async def test_calls_of_two_hundred_users(portal: Portal, ground: Ground) -> None:
    """Through all services: cold at most 12 and 5 a user, unchanged at most 20, whatever the number of users."""
    tenant, _ = await portal.tenant(198)
    before = (await portal.stats())["calls"]["total"]
    (identifier,) = await create(portal, tenant, 1)
    assert await ends(portal, [identifier]) == ["active"]
    users = len((await portal.status(identifier))["project"]["users"]["local"])
    cold = (await portal.stats())["calls"]["total"]
    assert users == 200
    assert cold - before <= 12 + 5 * users
    await portal.done("POST", f"/projects/{identifier}/provision")
    assert await ends(portal, [identifier]) == ["active"]
    assert (await portal.stats())["calls"]["total"] - cold <= 20


async def test_a_credential_is_shown_once(portal: Portal, ground: Ground) -> None:
    """It opens the cloud; a second look is refused, and the first is on record; a sync gives a new one."""
    tenant, users = await portal.tenant(1)
    (identifier,) = await create(portal, tenant, 1)
    await portal.ended(identifier, "active")
    path = f"/projects/{identifier}/users/{users[0]['id']}"
    first = (await portal.done("GET", f"{path}/credential"))["data"]
    pair = {name: first[name] for name in ("access_key", "secret_key")}
    assert (await portal.simulator.post("/_sim/authenticate", json=pair)).status_code == httpx.codes.OK
    assert (await portal.ask("GET", f"{path}/credential")).status_code == httpx.codes.GONE
    audited = await ground.rows(
        "SELECT action, detail FROM project_api.audit WHERE subject = $1 AND action = 'credential.read'",
        f"project {identifier}",
    )
    assert len(audited) == 1
    assert first["secret_key"] not in str(audited)
    await portal.done("POST", f"{path}/sync")
    await portal.ended(identifier, "active")
    second = (await portal.done("GET", f"{path}/credential"))["data"]
    assert (await portal.simulator.post("/_sim/authenticate", json=pair)).status_code != httpx.codes.OK
    pair = {name: second[name] for name in ("access_key", "secret_key")}
    assert (await portal.simulator.post("/_sim/authenticate", json=pair)).status_code == httpx.codes.OK
    secrets = [first["secret_key"], second["secret_key"]]
    (found,) = await ground.rows(
        "SELECT count(*) AS n FROM status_projector.events WHERE data::text LIKE '%' || $1 || '%'"
        " OR data::text LIKE '%' || $2 || '%'",
        *secrets,
    )
    assert found["n"] == 0
    logs = (ground.stack.directory / "logs").glob("*.log")
    assert not [log.name for log in logs for secret in secrets if secret in log.read_text(errors="replace")]
