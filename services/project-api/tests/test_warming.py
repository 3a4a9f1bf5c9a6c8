"""What is done before a replica calls itself ready."""

import httpx
from fastapi import FastAPI
from project_api.parts import Parts
from project_api.testing import World
from project_api.warming import CONNECTIONS, NAME, Warming

COUNTS = (
    "SELECT (SELECT count(*) FROM projects), (SELECT count(*) FROM participants), (SELECT count(*) FROM outbox),"
    " (SELECT count(*) FROM idempotency_keys)"
)


async def test_ready_means_warm(replica: FastAPI) -> None:
    """The database and its schema come first; then one look is enough."""
    parts: Parts = replica.state.parts
    warming = Warming(replica, parts)
    migrated = False
    parts.health.require("migrations", lambda: migrated)
    await warming.look()
    assert parts.health.missing() == [NAME, "migrations"]
    migrated = True
    await warming.look()
    assert parts.health.missing() == []


async def test_the_first_requests_open_no_connection(world: World, replica: FastAPI) -> None:
    """Neither an admin's nor a tenant's: all that is opened for them is there."""
    tenant = await world.tenant()
    parts: Parts = replica.state.parts
    await Warming(replica, parts).warm()
    databases = parts.database, parts.tenant_database
    assert [each.connections for each in databases] == [CONNECTIONS, CONNECTIONS]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(replica), base_url="http://uca.test") as client:
        for prefix, headers in (
            ("/admin/v1/projects", world.admin),
            ("/tenant/v1/admin/projects", world.tenant_admin(tenant)),
        ):
            body = {"name": f"First by {prefix}", "region": "region-1", "tenant_id": tenant.id}
            created = await client.post(prefix, json=body, headers=headers)
            assert created.status_code == 201
            path = f"{prefix}/{created.json()['identifier']}/status"
            assert (await client.get(path, headers=headers)).status_code == 200
    assert [each.connections for each in databases] == [CONNECTIONS, CONNECTIONS]


async def test_warming_up_stores_nothing(world: World, replica: FastAPI) -> None:
    """Though it goes through the statements that store."""
    before = await world.rows(COUNTS)
    await Warming(replica, replica.state.parts).warm()
    assert await world.rows(COUNTS) == before
