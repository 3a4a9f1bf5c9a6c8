"""The list of projects."""

import asyncio
from contextlib import AsyncExitStack
from typing import Any

import pytest
from contracts.status import Kind, Status, StepStatus
from project_api import listing
from project_api.runs.sweeper import Sweeper
from project_api.testing import Tenant, World, going


@pytest.fixture(scope="module")
async def tenant(world: World) -> Tenant:
    """A tenant of these tests alone, with five projects: Alpha to Epsilon."""
    tenant = await world.tenant()
    for name in ("Alpha", "Beta", "Gamma", "Delta 100%", "Epsilon_x"):
        await world.create(tenant, name=name, description=f"About {name}")
    return tenant


async def names(world: World, tenant: Tenant, query: str = "") -> list[str]:
    answer = await world.get(f"?tenant_id={tenant.id}{query}")
    assert answer.status_code == 200, answer.text
    return [each["name"] for each in answer.json()["data"]]


async def test_a_row_has_what_the_frontend_reads(world: World, tenant: Tenant) -> None:
    """Each row's members, and the counts that are not known here as 0."""
    row: dict[str, Any] = (await world.get(f"?tenant_id={tenant.id}&search=Alpha")).json()["data"][0]
    expected = {
        "identifier",
        "name",
        "description",
        "status",
        "region",
        "availability_zone",
        "created_at",
        "updated_at",
    }
    assert expected | {"id", "provisioning_progress", "resources_count"} <= set(row)
    assert row["id"] == row["identifier"]
    assert (row["status"], row["resources_count"]) == ("provisioning", {"instances": 0, "volumes": 0})
    assert [step["id"] for step in row["provisioning_progress"]] == ["link", "users", "active"]


async def test_the_newest_come_first(world: World, tenant: Tenant) -> None:
    """Unless another order is asked for."""
    newest = ["Epsilon_x", "Delta 100%", "Gamma", "Beta", "Alpha"]
    assert await names(world, tenant) == newest
    assert await names(world, tenant, "&sort=created_at") == newest[::-1]
    assert await names(world, tenant, "&sort=name") == sorted(newest)
    assert await names(world, tenant, "&sort=-name") == sorted(newest, reverse=True)


async def test_pages_follow_each_other(world: World, tenant: Tenant) -> None:
    """Links and meta lead through all of it, and a page behind the last is empty."""
    seen: list[str] = []
    link: str | None = f"/admin/v1/projects?tenant_id={tenant.id}&per_page=2"
    while link:
        page = (await world.client.get(link, headers=world.admin)).json()
        seen += [each["name"] for each in page["data"]]
        assert (page["meta"]["total"], page["meta"]["last_page"], page["meta"]["per_page"]) == (5, 3, 2)
        link = page["links"]["next"]
    assert seen == await names(world, tenant)
    assert (page["meta"]["from"], page["meta"]["to"], page["meta"]["current_page"]) == (5, 5, 3)
    assert "page=2&" in page["links"]["prev"]
    behind = (await world.get(f"?tenant_id={tenant.id}&page=9")).json()
    assert (behind["data"], behind["meta"]["from"], behind["meta"]["total"]) == ([], None, 5)


@pytest.mark.parametrize(
    ("words", "found"),
    [
        ("alph", ["Alpha"]),
        ("LTA", ["Delta 100%"]),
        ("be", ["Beta"]),
        ("0%", []),
        ("100%", ["Delta 100%"]),
        ("n_x", ["Epsilon_x"]),
    ],
)
async def test_search_finds_words_in_names(world: World, tenant: Tenant, words: str, found: list[str]) -> None:
    """In any case and taken literally; one or two letters are a name's beginning."""
    answer = await world.client.get(
        "/admin/v1/projects", params={"tenant_id": tenant.id, "search": words}, headers=world.admin
    )
    assert [each["name"] for each in answer.json()["data"]] == found


async def test_search_finds_an_identifier(world: World, tenant: Tenant) -> None:
    """As it is read out, in any case."""
    identifier = await world.create(tenant, name=f"By identifier {tenant.id}")
    answer = await world.get(f"?search={identifier.lower()}")
    assert [each["identifier"] for each in answer.json()["data"]] == [identifier]
    await world.rows("DELETE FROM projects WHERE identifier = $1", identifier)


async def test_filters_narrow_it(world: World, tenant: Tenant) -> None:
    """By region and provider; one that nobody is in is an empty list, not an error."""
    assert len(await names(world, tenant, "&region=region-1&provider=zadara")) == 5
    assert await names(world, tenant, "&region=region-9") == []


async def test_a_status_is_found_before_and_after_the_sweep(world: World) -> None:
    """Whether the copy that lists are filtered by was made already or not, each project is under its one status."""
    tenant = await world.tenant()
    made = {
        name: await world.create(tenant, name=name) for name in ("going", "active", "failed", "suspended", "leaving")
    }
    await world.fold(made["going"], going(StepStatus.PENDING, StepStatus.NOT_STARTED))
    await world.finish(made["active"])
    await world.finish(made["failed"], Status.FAILED)
    await world.post(f"/{made['suspended']}/suspend")
    await world.finish(made["suspended"], Status.SUSPENDED, Kind.SUSPEND)
    await world.client.delete(f"/admin/v1/projects/{made['leaving']}", headers=world.admin)

    async def check() -> None:
        for status, expected in {
            "provisioning": ["going"],
            "active": ["active"],
            "failed": ["failed"],
            "suspended": ["leaving", "suspended"],
            "pending": [],
        }.items():
            answer = (await world.get(f"?tenant_id={tenant.id}&status={status}&sort=name")).json()
            assert [each["name"] for each in answer["data"]] == expected, status
            assert {each["status"] for each in answer["data"]} <= {status}
            assert answer["meta"]["total"] == len(expected)

    await check()
    await Sweeper(world.parts.database, world.parts.settings).sweep()
    assert [
        row.open for row in await world.rows("SELECT open FROM projects WHERE identifier = $1", made["active"])
    ] == [False]
    await check()


async def test_a_large_total_is_an_estimate(world: World, tenant: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond the number that is counted exactly the planner is asked, and never says less than was counted."""
    monkeypatch.setattr(listing, "EXACT", 3)
    total = (await world.get(f"?tenant_id={tenant.id}")).json()["meta"]["total"]
    assert total >= 4


async def test_a_large_total_takes_no_second_connection(
    world: World, tenant: Tenant, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With as many such lists as there are connections each would hold one and wait for another."""
    monkeypatch.setattr(listing, "EXACT", 3)
    async with AsyncExitStack() as others:
        for _ in range(world.parts.settings.pool_size - 1):
            await others.enter_async_context(world.parts.database.reading())
        async with asyncio.timeout(2):
            found = await world.get(f"?tenant_id={tenant.id}")
    assert found.status_code == 200


async def test_what_nobody_filled_in_is_left_out(world: World) -> None:
    """A form sends its empty fields along; they ask for nothing."""
    tenant = await world.tenant()
    await world.create(tenant)
    blank = "&".join(f"{name}=" for name in ("status", "region", "provider", "search", "sort", "page", "per_page"))
    found = await world.client.get(f"/tenant/v1/admin/projects?tenant_id=&{blank}", headers=world.tenant_admin(tenant))
    assert (found.status_code, found.json()["meta"]["total"]) == (200, 1)


@pytest.mark.parametrize("query", ["page=0", "per_page=101", "status=odd", "sort=secret", "tenant_id=x", "unknown=1"])
async def test_a_wrong_query_is_a_422(world: World, query: str) -> None:
    """The parameter is named."""
    answer = await world.get(f"?{query}")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, [query.partition("=")[0]])
