"""Our side: the four services as they are delivered, with everything on, on the benchmark's cloud."""

import asyncio
import json
import signal
import subprocess
import sys
import time
import uuid
from functools import cache
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from clouds.settings import CloudSettings
from local import seed
from local.services import API, SERVICES, Services, instance_name

from bench.ground import DIRECTORY, ROOT, Ground, end
from bench.http import Client

USERS = 5000
"""Users in the directory, for projects of any size."""
REGION = "bench-1"
IN_FLIGHT = 100
"""Calls at once on the cloud, as the peers make."""
UNRECORDED = 1000
"""Users done and not recorded yet, beside so many calls at once: they are recorded in large portions."""
ADDRESS_RATE = "1000000"
"""Requests a second of one address: on a fast machine the benchmark's reads are more than the default, 5,000."""
DEFAULT_IN_FLIGHT = CloudSettings().max_in_flight
"""The product's own, as zCompute's clients keep to; what is unrecorded then is left to the product, too."""


class Refused(RuntimeError):
    """The API answered, and not as it was to."""


class Ours:
    """One replica of each service, or more."""

    name = "UCA"
    virtual_host = "uca"
    database = "uca"

    def __init__(
        self,
        ground: Ground,
        replicas: int = 1,
        provider: str = "bench",
        in_flight: int = IN_FLIGHT,
    ) -> None:
        """``provider`` is one of `bench/provider`'s; ``in_flight`` is for all replicas of a service together."""
        self.ground = ground
        self.replicas = replicas
        self._in_flight = in_flight
        self._region = _region(ground, provider)
        self._services: Services = ground.stack.services(ground.parts, replicas)
        self.processes: dict[str, subprocess.Popen[bytes]] = {}
        self._token = ""

    @property
    def port(self) -> int:
        return self._services.ports[API]

    @property
    def push_key(self) -> str:
        return self.ground.stack.api_environment(self._services)["PUSH_KEY"]

    async def start(self) -> None:
        """Starts what isn't running and waits until all are ready; makes the directory's users at the first time."""
        for name in self.names():
            if name not in self.processes or self.processes[name].poll() is not None:
                self.start_one(name)
        self._wait_ready()
        await asyncio.to_thread(self._plant)

    def restart(self, name: str) -> None:
        """Starts a replica that has ended, and waits until it is ready; the caller's loop stands still meanwhile."""
        self.start_one(name)
        self._wait_ready()

    def start_one(self, name: str) -> None:
        """Starts one replica."""
        program = self._programs()[name]
        self.processes[name] = self.ground.spawn(name, program.command, program.environment)

    def kill(self, name: str) -> None:
        """Ends one replica as a power cut would."""
        end(self.processes[name], signal.SIGKILL)

    async def stop(self) -> None:
        """Ends all replicas gracefully."""
        for process in self.processes.values():
            if process.poll() is None:
                process.terminate()
        for process in self.processes.values():
            end(process)
        self.processes.clear()

    def pids(self) -> list[int]:
        return [process.pid for process in self.processes.values()]

    def client(self) -> Client:
        return Client(self.port, {"Authorization": f"Bearer {self._token}"})

    def body(self, users: int) -> dict[str, Any]:
        """What is posted: the creator is in as an admin, so one user fewer is named."""
        name = f"bench-{uuid.uuid4().hex[:12]}"
        region = {"region": self._region["code"], "provider": self._region["provider"]}
        return {"name": name, **region, "type": "vpc", "description": "", "metadata": {"from": "bench"}} | {
            "tenant_id": self.ground.tenant_id, "user_ids": self.ground.user_ids[: users - 1]
        }  # fmt: skip

    async def post(self, client: Client, users: int) -> str:
        """Creates a project with a fresh Idempotency-Key; its identifier."""
        key = {"Idempotency-Key": f'"{uuid.uuid4()}"'}
        status, body, _ = await client.request("POST", "/admin/v1/projects", self.body(users), key)
        if status != 201:
            raise Refused(f"POST answered {status}: {body[:300]!r}")
        return str(json.loads(body)["identifier"])

    async def remove(self, client: Client, project: str) -> None:
        """Asks for a project's removal."""
        status, body, _ = await client.request("DELETE", f"/admin/v1/projects/{project}")
        if status != 202:
            raise Refused(f"DELETE answered {status}: {body[:300]!r}")

    async def is_active(self, db: "asyncpg.Connection[asyncpg.Record]", project: str) -> bool:
        row = await db.fetchval("SELECT status FROM status_projector.project_status WHERE identifier = $1", project)
        return bool(row == "active")

    async def active(self, db: "asyncpg.Connection[asyncpg.Record]") -> int:
        """How many projects are active."""
        return int(await db.fetchval("SELECT count(*) FROM status_projector.project_status WHERE status = 'active'"))

    async def unfinished(self, db: "asyncpg.Connection[asyncpg.Record]") -> int:
        """How many projects are stored and not active yet."""
        return int(await db.fetchval("SELECT count(*) FROM project_api.projects")) - await self.active(db)

    async def reset(self, db: "asyncpg.Connection[asyncpg.Record]") -> None:
        """Forgets projects; directory and learned estimates stay."""
        await db.execute(
            "TRUNCATE project_api.projects, project_api.participants, project_api.idempotency_keys,"
            " link_provisioner.links, user_syncer.runs, user_syncer.chunks, user_syncer.member_records,"
            " status_projector.project_status, status_projector.user_status, status_projector.events CASCADE"
        )

    # --- inside

    def names(self) -> list[str]:
        """All replicas' names."""
        return [instance_name(each.name, n) for n in range(1, self.replicas + 1) for each in SERVICES]

    def _programs(self) -> dict[str, Any]:
        file = DIRECTORY / "bench-regions.json"
        file.write_text(json.dumps([self._region]))
        given = {
            "CLOUD_REGIONS_FILE": str(file),
            "BENCH_PASSWORD": "not-asked-for",
            "PYTHONPATH": str(_provider_site()),
            "ADDRESS_RATE": ADDRESS_RATE,
        }
        given["CLOUD_MAX_IN_FLIGHT"] = str(self._in_flight)
        if self._in_flight == IN_FLIGHT:
            given["MAX_UNRECORDED"] = str(UNRECORDED)
        chosen = {service.name: given for service in SERVICES}
        return {program.name: program for program in self._services.programs({}, chosen)}

    def _wait_ready(self, patience: float = 60) -> None:
        urls = [*self._services.metrics_urls.values(), *self._services.api_urls]
        deadline = time.monotonic() + patience
        while urls:
            try:
                httpx.get(f"{urls[0]}/readyz", timeout=5).raise_for_status()
                urls.pop(0)
            except httpx.HTTPError:
                if time.monotonic() > deadline:
                    raise TimeoutError(f"{urls[0]} is not ready; see {DIRECTORY / 'logs'}") from None
                time.sleep(0.1)

    def _plant(self) -> None:
        """One admin, who creates and so is in every project; a tenant; and users to be named."""
        api = self.ground.stack.api_environment(self._services)
        admins = seed.plant(api).admins
        self._token = seed.token(api, admins[0])
        headers = {"Authorization": f"Bearer {self._token}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{self.port}/admin/v1", headers=headers, timeout=30) as directory:
            for other in admins[1:]:
                directory.delete(f"/users/{other}").raise_for_status()
            if not self.ground.user_ids:
                self.ground.tenant_id = _tenant(directory)
                self.ground.user_ids = [
                    user for start in range(0, USERS, 500) for user in _users(directory, start, 500)
                ]


def _tenant(directory: httpx.Client) -> int:
    made = directory.post("/tenants", json={"name": f"Bench {uuid.uuid4().hex[:8]}"}).raise_for_status()
    return int(made.json()["data"]["id"])


def _users(directory: httpx.Client, start: int, count: int) -> list[int]:
    prefix = uuid.uuid4().hex[:8]
    users = [
        {"name": f"Bench {start + n}", "email": f"bench-{prefix}-{start + n}@bench.example", "role": "member"}
        for n in range(count)
    ]
    made = directory.post("/users/import", json={"users": users}).raise_for_status()
    return [user["id"] for user in made.json()["data"]]


def _region(ground: Ground, provider: str) -> dict[str, Any]:
    return {"code": REGION, "name": "Bench", "provider": provider, "url": ground.cloud_url} | {
        "account": "bench", "username": "bench", "password_env": "BENCH_PASSWORD", "is_active": True
    }  # fmt: skip


@cache
def _provider_site() -> Path:
    """The benchmark's providers, installed into a folder of their own: services find them by their entry points."""
    site = DIRECTORY / "site"
    uv = str(Path(sys.executable).with_name("uv"))
    options = ["--target", str(site), "--no-deps", "--no-build-isolation", "--reinstall", "--python", sys.executable]
    subprocess.run([uv, "pip", "install", "-q", *options, str(ROOT / "bench" / "provider")], check=True)
    return site
