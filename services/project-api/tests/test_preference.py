"""Whether a create waits for its run."""

import asyncio
import dataclasses
import uuid
from datetime import UTC, datetime

import httpx
import pytest
from contracts.status import Status
from project_api import preference
from project_api.app import create_app
from project_api.projects import CREATED
from project_api.settings import Settings
from project_api.testing import World


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("wait=5", 5),
        ("respond-async, wait=10", 10),
        ('WAIT = "7"', 7),
        ("wait=3; x=1", 3),
        ("wait=999999999999", 999_999_999_999),
        ("wait", None),
        ("wait=-1", None),
        ("wait=soon", None),
        ("return=minimal", None),
    ],
)
def test_the_preference_is_read(header: str | None, seconds: float | None) -> None:
    """RFC 7240's syntax; what isn't understood is ignored."""
    assert preference.wait(header) == seconds


@pytest.mark.parametrize(
    ("queue", "fast", "provider", "wished", "expected"),
    [
        (True, True, None, None, None),
        (False, True, None, None, 60),
        (True, False, "zadara", None, 60),
        (False, False, "keystone", None, None),
        (True, True, None, 5, 5),
        (True, True, None, 100, 60),
        (False, True, None, 0, 0),
    ],
)
def test_switches_and_bounds(  # noqa: PLR0917 - the columns of the table above
    settings: Settings, queue: bool, fast: bool, provider: str | None, wished: float | None, expected: float | None
) -> None:
    """Either switch off makes zadara's creates wait; the client's wish comes first, up to the longest wait."""
    changed = settings.model_copy(update={"zadara_sync_queue": queue, "zadara_fast_response": fast})
    assert preference.patience(changed, provider, wished) == expected


async def test_a_create_that_waits_says_the_status_reached(world: World) -> None:
    """201 once the run has ended, with the preference applied."""
    body = {"name": f"Waiting {datetime.now(UTC)}", "region": "region-1"}
    headers = {**world.admin, "Prefer": "wait=30"}
    creating = asyncio.create_task(world.client.post("/admin/v1/projects", json=body, headers=headers))
    identifier = await world.waiter()
    await world.finish(identifier)
    world.tell(identifier)
    answer = await creating
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=30")
    found = answer.json()
    assert (found["status"], found["data"]["status"], found["identifier"]) == ("active", "active", identifier)
    assert found["data"]["progress"]["percent"] == 100
    assert found["message"] == "Project created successfully. Its infrastructure is ready."


async def test_a_wait_is_bounded(world: World) -> None:
    """When the time is up the answer says how far it has got."""
    body = {"name": f"Bounded {datetime.now(UTC)}", "region": "region-1"}
    headers = {**world.admin, "Prefer": "wait=1"}
    answer = await world.client.post("/admin/v1/projects", json=body, headers=headers)
    assert (answer.status_code, answer.json()["status"]) == (201, "provisioning")


@pytest.mark.parametrize("query", ["", "?by=the-route"], ids=["plain", "route"])
async def test_every_line_of_the_header_counts(world: World, query: str) -> None:
    """A wait on the second line is applied, and told as it is bounded."""
    parts = dataclasses.replace(world.parts, settings=world.parts.settings.model_copy(update={"max_wait_seconds": 1}))
    body = {"name": f"Lines {query} {datetime.now(UTC)}", "region": "region-1"}
    headers = [*world.admin.items(), ("Prefer", "return=minimal"), ("Prefer", f"wait={'9' * 400}")]
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(parts)), base_url="http://uca.test"
    ) as client:
        answer = await client.post(f"/admin/v1/projects{query}", json=body, headers=headers)
    assert (answer.status_code, answer.headers["preference-applied"]) == (201, "wait=1")


async def test_a_repeat_that_waits_says_the_status_as_of_then(world: World) -> None:
    """One that does not gets the first answer; the status that was reached is not kept with the key."""
    body = {"name": f"Kept {datetime.now(UTC)}", "region": "region-1"}
    headers = {**world.admin, "Idempotency-Key": f'"{uuid.uuid4()}"'}
    first = await world.client.post("/admin/v1/projects", json=body, headers=headers)
    await world.finish(first.json()["identifier"])
    waited = await world.client.post("/admin/v1/projects", json=body, headers={**headers, "Prefer": "wait=10"})
    again = await world.client.post("/admin/v1/projects", json=body, headers=headers)
    assert (waited.json()["status"], again.content) == ("active", first.content)


@pytest.mark.parametrize("waits", [{}, {"Prefer": "wait=10"}])
async def test_a_repeat_gets_the_first_answer_though_the_project_is_gone(world: World, waits: dict[str, str]) -> None:
    """There is no status to wait for any more, and the key's answer stays what it was."""
    body = {"name": f"Gone {datetime.now(UTC)}", "region": "region-1"}
    headers = {**world.admin, "Idempotency-Key": f'"{uuid.uuid4()}"'}
    first = await world.client.post("/admin/v1/projects", json=body, headers=headers)
    await world.rows("DELETE FROM projects WHERE identifier = $1", first.json()["identifier"])
    again = await world.client.post("/admin/v1/projects", json=body, headers={**headers, **waits})
    assert (again.status_code, again.content) == (201, first.content)


async def test_a_failure_is_said(world: World) -> None:
    """A run that ended failed is a 201 whose status is failed, with the reason."""
    identifier = await world.create()
    await world.finish(identifier, Status.FAILED)
    created = {"message": CREATED, "status": "provisioning", "data": {"id": identifier, "status": "provisioning"}}
    found = preference.with_status(created, await world.status(identifier))
    assert (found["status"], found["error"], found["data"]["id"]) == ("failed", "The link failed.", identifier)
    assert found["message"].endswith("failed.")
