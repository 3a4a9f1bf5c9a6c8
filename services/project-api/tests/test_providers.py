"""The regions' health and maintenance."""

from typing import Any

import pytest
from project_api.providers import state_of
from project_api.testing import World


def worker(breaker: str = "closed", limited_until: str | None = None) -> dict[str, Any]:
    return {"breaker": breaker, "limited_until": limited_until}


@pytest.mark.parametrize(
    ("workers", "state"),
    [
        ([], "unknown"),
        ([worker()], "ok"),
        ([worker(), worker(limited_until="2026-01-01T00:00:00Z")], "limited"),
        ([worker(), worker("half_open")], "recovering"),
        ([worker("half_open"), worker("open")], "failing"),
    ],
)
def test_the_worst_report_is_the_regions_state(workers: list[dict[str, Any]], state: str) -> None:
    """One worker whose breaker is open is enough for a region to be failing."""
    assert state_of(workers, is_active=True, maintained=False) == state


def test_a_persons_word_goes_before_the_workers() -> None:
    """A region in maintenance, or switched off, says so whatever its workers report."""
    assert state_of([worker("open")], is_active=True, maintained=True) == "maintenance"
    assert state_of([worker()], is_active=False, maintained=True) == "inactive"


async def test_maintenance_begins_and_ends(world: World) -> None:
    """The list says since when, why and at whose word a region is in maintenance, until it ends."""
    path = "/admin/v1/providers"
    begun = await world.client.post(f"{path}/region-1/maintenance", json={"reason": "New racks"}, headers=world.admin)
    assert begun.status_code == 200
    first = (await world.client.get(path, headers=world.admin)).json()["data"][0]
    assert (first["code"], first["state"], first["maintenance"]["reason"]) == ("region-1", "maintenance", "New racks")
    assert (await world.client.delete(f"{path}/region-1/maintenance", headers=world.admin)).status_code == 200
    assert (await world.client.get(path, headers=world.admin)).json()["data"][0]["maintenance"] is None


async def test_an_unknown_region_is_a_404(world: World) -> None:
    """Maintenance of a region that is not configured is refused."""
    answer = await world.client.post("/admin/v1/providers/nowhere/maintenance", json={}, headers=world.admin)
    assert answer.status_code == 404
