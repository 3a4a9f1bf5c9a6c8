"""The console in headless Chromium, over the stack of the tests across services."""

import asyncio
import base64
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from clouds.regions import load_regions
from local import seed
from local.services import executable
from local.stack import Stack

from tests.frontend.conftest import Script, chromium, node, packages, script

__all__ = ["chromium", "node", "packages", "script"]  # fixtures here as well

HERE = Path(__file__).parent
PARKED = "status-projector.parked"

Play = Callable[..., Awaitable[None]]


class Api:
    """project-api as an administrator's script uses it."""

    def __init__(self, environment: dict[str, str]) -> None:
        self.environment = environment
        headers = {"Authorization": f"Bearer {environment['UCA_ADMIN_TOKEN']}"}
        self.http = httpx.AsyncClient(base_url=f"{environment['UCA_API_URL']}/admin/v1", headers=headers, timeout=30)

    async def post(self, path: str, **body: Any) -> dict[str, Any]:
        """The answer's content."""
        answer = await self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return dict(answer.json())

    async def tenant(self, people: Sequence[str], name: str = "") -> tuple[str, int]:
        """A new tenant's name and id; each of its members is called as asked."""
        name = name or f"Tenant {secrets.token_hex(4)}"
        tenant = (await self.post("/tenants", name=name))["data"]["id"]
        for each in people:
            await self.post("/users", name=each, email=email_of(each), role="member", tenant_id=tenant)
        return name, tenant

    async def active(self, **body: Any) -> str:
        """The identifier of a new project that has become active."""
        return await self.ended("active", **body)

    async def ended(self, status: str = "failed", **body: Any) -> str:
        """The identifier of a new project whose first run has ended so."""
        identifier = str((await self.post("/projects", region="region-1", **body))["identifier"])
        etag = ""
        async with asyncio.timeout(240):
            while True:
                path = f"/projects/{identifier}/status?wait=10"
                answer = await self.http.get(path, headers={"If-None-Match": etag})
                etag = answer.headers["ETag"]
                if answer.status_code == 200 and answer.json()["status"] == status:
                    return identifier

    async def behave(self, **behaviour: Any) -> None:
        """Sets what the cloud simulator does to its callers."""
        async with httpx.AsyncClient(base_url=self.environment["UCA_SIMULATOR_URL"]) as simulator:
            (await simulator.put("/_sim/behaviour", json=behaviour)).raise_for_status()


def email_of(name: str) -> str:
    return f"{name.lower().replace(' ', '.')}@console.example"


async def park(url: str, body: bytes, kind: str, *, key: str, error: str) -> None:
    """Puts a message where status-projector would have parked it."""
    headers = {"reason": "handler_failed", "error": error, "tries": 3, "routing-key": key}
    message = {
        "routing_key": PARKED,
        "payload": base64.b64encode(body).decode(),
        "payload_encoding": "base64",
        "properties": {
            "content_type": kind,
            "message_id": secrets.token_hex(16),
            "headers": headers,
            "delivery_mode": 2,
        },
    }
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{url}/amq.default/publish", content=json.dumps(message))
        assert answer.json() == {"routed": True}, answer.text


async def take_away(stack: Stack, identifier: str, email: str) -> None:
    """Takes a user's role in a project of region-1 away, as an admin of the cloud would."""
    password = json.loads((stack.directory / "credentials.json").read_text())["simulator"]
    clouds = Clouds(load_regions(stack.directory / "regions.json", {"SIMULATOR_PASSWORD": password}))
    cloud: Any = clouds.open("region-1")
    spec = ProjectSpec(identifier, "any")
    project = await cloud.find_project(spec)
    snapshot = await cloud.read_snapshot(spec, project.id, [email])
    account = snapshot.users[email]
    for role in snapshot.roles[account.id]:
        await cloud.revoke_role(project.id, account.id, role)
    await clouds.aclose()


@pytest.fixture
async def api(environment: dict[str, str]) -> AsyncIterator[Api]:
    """The running stack's API; the simulated cloud is as it was at the end."""
    api = Api(environment)
    yield api
    await api.behave(latency_ms={"project": 200, "user": 50}, fail_emails=[])
    await api.http.aclose()


@pytest.fixture
async def play(stack: Stack, environment: dict[str, str], script: Script, chromium: str) -> Play:
    """`await play("signsIn", name=…)` plays a scenario, with so many sign-in addresses; its failure is the test's."""

    async def play(scenario: str, *, sign_ins: int = 1, **config: Any) -> None:
        admin = json.loads(seed.run([executable("project-api"), "seed"], stack_api(stack)))["admins"][0]
        console = environment["UCA_CONSOLE_URL"]
        words = {
            "executable": chromium,
            "console": console,
            "addresses": [seed.console_address(stack_api(stack), console, admin) for _ in range(sign_ins)],
            "token": environment["UCA_ADMIN_TOKEN"],
            "admin": "Ada Admin",
            "simulator": environment["UCA_SIMULATOR_URL"],
            "metrics": environment["UCA_METRICS_URLS"].split(","),
            "evidence": str(stack.directory / f"console-{scenario}"),
            **config,
        }
        await script(HERE / "browser.mjs", scenario, words)

    return play


def stack_api(stack: Stack) -> dict[str, str]:
    """The environment of project-api's commands."""
    return stack.api_environment(stack.services(stack.infrastructure(), 2))
