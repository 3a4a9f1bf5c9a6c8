"""The pictures of docs/console: every view is brought up on data worth looking at. `make screenshots` keeps them."""

import asyncio
import os
import secrets
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from backbone.context import Context
from backbone.envelope import pack, seal
from contracts.events import ProjectCreated

from tests.console.conftest import Api, Play, email_of, park

PEOPLE = ["Amara Osei", "Benedikt Voss", "Chiara Conti", "Dmitri Volkov", "Elif Kaya", "Farid Haddad", "Greta Lund"]
MINUTE_MS = 60_000


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pictures go: SCREENSHOTS, or nowhere that stays."""
    folder = Path(os.environ.get("SCREENSHOTS") or tmp_path).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture
async def maintained(api: Api) -> AsyncIterator[None]:
    """A region in maintenance."""
    await api.post("/providers/region-2/maintenance", reason="New racks, until the evening")
    yield
    await api.http.delete("/providers/region-2/maintenance")


async def test_the_views_are_worth_a_picture(
    play: Play, api: Api, rabbitmq_api_url: str, folder: Path, maintained: None
) -> None:
    """Sign-in, list, create, a run that goes on, one that failed, dead letters and providers are all shown."""
    mark = secrets.token_hex(3)
    people = [f"{name} {mark}" for name in PEOPLE]
    _, number = await api.tenant(people, name=f"Northwind Health {mark}")
    body: dict[str, Any] = {"tenant_id": number, "assignment_scope": "tenant"}
    active = await api.active(name="Patient portal", description="What patients see.", **body)
    await api.behave(fail_emails=[email_of(people[2])])
    failed = await api.ended(name="Billing exports", **body)
    await api.behave(fail_emails=[], latency_ms={"project": 100, "user": 100, "default": 0})
    await api.active(name="Lab results", **body)
    for each in PEOPLE[:3]:
        person = {"name": f"{each} the younger", "email": f"{mark}-{email_of(each)}", "role": "member"}
        await api.post("/users", tenant_id=number, **person)
    await api.behave(latency_ms={"user": MINUTE_MS})
    going = (await api.post("/projects", name="Telemetry", region="region-1", **body))["identifier"]
    await _letter(rabbitmq_api_url, api, going, mark)
    try:
        await play(
            "takesPictures",
            sign_ins=3,
            folder=str(folder),
            tenant=number,
            person=people[0],
            active=active,
            failed=failed,
            failedName="Billing exports",
            going=going,
            mark=mark,
        )
    finally:
        await api.http.post(f"/projects/{going}/cancel")  # a 409 where it has ended by itself


async def _letter(api_url: str, api: Api, project: str, mark: str) -> None:
    now = datetime.now(UTC)
    fact = ProjectCreated(
        identifier=project,
        run=1,
        name="Telemetry",
        tenant_id=None,
        provider="zadara",
        region="region-1",
        participants=(),
        requested_at=now,
        deadline_at=now + timedelta(days=1),
    )
    (event,) = pack([seal(fact, source="project-api", time=now, context=Context(None, None))])
    exchanges = f"{api_url}/api/exchanges/{api.environment['UCA_AMQP_URL'].rpartition('/')[2]}"
    error = f"KeyError: 'requested_at' ({mark})"
    await park(exchanges, event.body, event.content_type, key="project.created", error=error)
    await park(exchanges, b"not JSON at all", "text/plain", key="user.synced", error=f"not JSON ({mark})")
    async with asyncio.timeout(60):
        while (await api.http.get("/dead-letters", params={"error": mark})).json()["meta"]["total"] < 2:  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.2)
