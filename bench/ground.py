"""The ground that all sides stand on: a private database and broker, Redis for who needs it, and the cloud."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import asyncpg
import httpx
from local import debian, ports
from local.infrastructure import Infrastructure
from local.programs import MissingProgramError
from local.stack import Stack

from bench.http import Client

ROOT = Path(__file__).parent.parent
DIRECTORY = ROOT / ".run" / "bench"
PEERS = "peers"
"""Name of the peers' database and virtual host."""


@dataclass
class Ground:
    """What runs for as long as the benchmark does."""

    stack: Stack
    parts: Infrastructure
    ports: Mapping[str, int]
    processes: dict[str, "subprocess.Popen[bytes]"] = field(default_factory=dict)
    spawned: list["subprocess.Popen[bytes]"] = field(default_factory=list)
    tenant_id: int = 0
    user_ids: list[int] = field(default_factory=list)
    """Our directory: made once, for all that our side runs on this ground."""

    @property
    def logs(self) -> Path:
        return DIRECTORY / "logs"

    @property
    def cloud_url(self) -> str:
        return f"http://127.0.0.1:{self.ports['bench-cloud']}"

    @property
    def redis_url(self) -> str:
        return f"redis://127.0.0.1:{self.ports['bench-redis']}/0"

    @property
    def peers_database_url(self) -> str:
        return self.parts.endpoints.database_url.rpartition("/")[0] + f"/{PEERS}"

    @property
    def peers_amqp_url(self) -> str:
        return self.parts.endpoints.amqp_url.rpartition("/")[0] + f"/{PEERS}"

    def servers(self) -> dict[str, list[int]]:
        """Process ids of what every side shares, for their CPU."""
        running = {each["name"]: each["pid"] for each in self.stack.supervisor.overview()}
        own = {name: [process.pid] for name, process in self.processes.items()}
        return {"broker": [running["broker"]], "database": [running["database"]], **own}

    def superuser(self, database: str = "uca") -> dict[str, object]:
        """How asyncpg connects past every row-level policy."""
        private = self.parts.database
        login = {"user": "postgres", "password": private.superuser_password, "database": database}
        return {"host": "127.0.0.1", "port": private.port, **login}

    def spawn(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path = ROOT
    ) -> "subprocess.Popen[bytes]":
        """A process of the benchmark's own, with its output in the logs.

        All share a session, as under supervisord: Linux weighs sessions against each other, and only within one do
        nice levels count.
        """
        inherited = {key: os.environ[key] for key in ("PATH", "LANG", "TZ") if key in os.environ}
        with (self.logs / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                command, env=inherited | dict(environment), stdout=log, stderr=log, cwd=folder, process_group=0
            )
        self.spawned = [each for each in self.spawned if each.poll() is None] + [process]
        return process

    def cloud(self) -> Client:
        return Client(self.ports["bench-cloud"])

    async def set_cloud(self, link_ms: float, user_ms: float) -> None:
        """Sets the delays and forgets the counts."""
        client = self.cloud()
        await client.request("POST", "/config", {"link_ms": link_ms, "user_ms": user_ms})
        await client.request("POST", "/reset")
        client.close()

    def reset_virtual_host(self) -> None:
        """An empty virtual host for the peers."""
        with httpx.Client(base_url=self.parts.endpoints.rabbitmq_api_url) as api:
            api.delete(f"/api/vhosts/{PEERS}")
            api.put(f"/api/vhosts/{PEERS}").raise_for_status()
            everything = {"configure": ".*", "write": ".*", "read": ".*"}
            api.put(f"/api/permissions/{PEERS}/uca_admin", json=everything).raise_for_status()

    def broker_version(self) -> str:
        """RabbitMQ's own word."""
        answer = httpx.get(f"{self.parts.endpoints.rabbitmq_api_url}/api/overview", timeout=5)
        return str(answer.json()["rabbitmq_version"])


@contextmanager
def standing() -> Iterator[Ground]:
    """The ground, ended with all that it started; data is dropped."""
    stack = Stack(DIRECTORY, {})
    stack.down(wipe=True)
    try:
        stack.migrate()
        parts = stack.infrastructure()
        port = ports.allocate(DIRECTORY / "ports.json", ["bench-cloud", "bench-redis", "bench-api"], in_use=True)
        ground = Ground(stack, parts, port)
        try:
            _start(ground)
            yield ground
        finally:
            for process in ground.spawned:
                end(process, signal.SIGKILL)
    finally:
        stack.down(wipe=True)


def _start(ground: Ground) -> None:
    cloud = [sys.executable, "-m", "bench.cloud", str(ground.ports["bench-cloud"])]
    ground.processes["cloud"] = ground.spawn("cloud", cloud, {"PYTHONPATH": str(ROOT)})
    data = DIRECTORY / "redis"
    data.mkdir(exist_ok=True)
    options = ["--port", str(ground.ports["bench-redis"]), "--bind", "127.0.0.1", "--appendonly", "yes", "--save", ""]
    ground.processes["redis"] = ground.spawn("redis", [_redis(), *options, "--dir", str(data)], {})


def _redis() -> str:
    found = shutil.which("redis-server")
    if found is None and debian.may_install():
        print("Installing redis-server for the peers (no system service is started) …", flush=True)
        debian.install("redis-server")
        found = shutil.which("redis-server")
    if found is None:
        raise MissingProgramError("The peers need redis-server: install it, on Debian: apt-get install redis-server")
    return found


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGTERM) -> None:
    """Ends a process that was spawned, and all in its group."""
    if process.poll() is None:
        os.killpg(process.pid, number)
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait(10)


async def database(ground: Ground, name: str = "uca") -> "asyncpg.Connection[asyncpg.Record]":
    """A connection past every policy, to look and to count."""
    return await asyncpg.connect(**ground.superuser(name))


def wait_listening(port: int, patience: float = 60) -> None:
    """Raises TimeoutError where nobody listens in time."""
    deadline = time.monotonic() + patience
    while ports.is_free(port):
        if time.monotonic() > deadline:
            raise TimeoutError(f"nothing listens on port {port} after {patience:.0f} s; see {DIRECTORY / 'logs'}")
        time.sleep(0.05)
