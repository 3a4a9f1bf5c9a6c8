"""A portal to work with: two replicas of each service, and the simulator that they provision on."""

import asyncio
import itertools
import secrets
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

QUIET = {"latency_ms": {"default": 0, "project": 0, "user": 0}, "fail_emails": [], "fail_project_names": []}
PATIENCE = 90.0
"""Seconds until a run counts as stuck."""


class Portal:
    """An admin at the API; requests take turns between the replicas, as behind a load balancer."""

    def __init__(self, clients: list[httpx.AsyncClient], simulator: httpx.AsyncClient) -> None:
        self._clients = itertools.cycle(clients)
        self.simulator = simulator

    async def ask(self, method: str, path: str, **more: Any) -> httpx.Response:
        """One request under `/admin/v1`, whatever it is answered."""
        return await next(self._clients).request(method, f"/admin/v1{path}", **more)

    async def done(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        """The body of a request that must succeed."""
        answer = await self.ask(method, path, **more)
        assert answer.is_success, answer.text
        return dict(answer.json()) if answer.content else {}

    async def tenant(self, users: int) -> tuple[int, list[dict[str, Any]]]:
        """A new tenant and its members."""
        name = f"Tenant {secrets.token_hex(4)}"
        tenant = (await self.done("POST", "/tenants", json={"name": name}))["data"]["id"]
        people = [
            {
                "name": f"User {n}",
                "email": f"u{n}@{secrets.token_hex(4)}.example",
                "role": "member",
                "tenant_id": tenant,
            }
            for n in range(users)
        ]
        return tenant, [(await self.done("POST", "/users", json=person))["data"] for person in people]

    async def create(self, **body: Any) -> dict[str, Any]:
        """A new project in the first region."""
        return await self.done("POST", "/projects", json={"name": secrets.token_hex(6), "region": "region-1"} | body)

    async def status(self, identifier: str) -> dict[str, Any]:
        """The status as it is now."""
        return await self.done("GET", f"/projects/{identifier}/status")

    async def ended(self, identifier: str, *words: str) -> dict[str, Any]:
        """The status once it is one of `words`, by long polls; each answer on the way must fit the one before."""
        tag, percent = "", 0
        async with asyncio.timeout(PATIENCE):
            while True:
                answer = await self.ask(
                    "GET", f"/projects/{identifier}/status", params={"wait": 10}, headers={"If-None-Match": tag}
                )
                if answer.status_code == httpx.codes.NOT_MODIFIED:
                    continue
                status: dict[str, Any] = answer.raise_for_status().json()
                tag = answer.headers["ETag"]
                assert status["progress"]["percent"] >= percent
                percent = status["progress"]["percent"]
                if status["status"] in words:
                    return status

    async def gone(self, identifier: str) -> None:
        """Returns once the project is a 404."""
        async with asyncio.timeout(PATIENCE):
            while (await self.ask("GET", f"/projects/{identifier}/status")).is_success:  # noqa: ASYNC110 - no news of a 404
                await asyncio.sleep(0.1)

    async def objects(self, identifier: str) -> dict[str, Any]:
        """What the simulator has of one project: itself, its grants, policies and keys."""
        found = (await self.simulator.get("/_sim/objects")).json()
        project = next((p for p in found["projects"] if identifier in p["name"]), None)
        rows = {kind: [o for o in found[kind] if project and o["project_id"] == project["id"]] for kind in KINDS}
        return {"project": project} | rows

    async def behave(self, **changes: Any) -> None:
        """Changes the simulator's behaviour."""
        (await self.simulator.put("/_sim/behaviour", json=changes)).raise_for_status()

    async def stats(self) -> dict[str, Any]:
        """The simulator's counts."""
        return dict((await self.simulator.get("/_sim/stats")).json())


KINDS = "grants", "policies", "keys"


@pytest.fixture
async def portal(environment: dict[str, str]) -> AsyncIterator[Portal]:
    """The portal with a cloud that answers at once; whatever a test does to the cloud ends with it."""
    headers = {"Authorization": f"Bearer {environment['UCA_ADMIN_TOKEN']}"}
    clients = [
        httpx.AsyncClient(base_url=url, headers=headers, timeout=60) for url in environment["UCA_API_URLS"].split(",")
    ]
    async with httpx.AsyncClient(base_url=environment["UCA_SIMULATOR_URL"], timeout=10) as simulator:
        portal = Portal(clients, simulator)
        await portal.behave(**QUIET)
        yield portal
        await portal.behave(**QUIET)
        for client in clients:
            await client.aclose()
