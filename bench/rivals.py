"""The peers as sides of the comparison: each in its own way, on the ground that we stand on."""

import asyncio
import json
import os
import signal
import subprocess
import sys
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg

from bench.ground import DIRECTORY, PEERS, ROOT, Ground, end, wait_listening
from bench.http import Client

VENV = ROOT / ".cache" / "peers"
LOCK = ROOT / "bench" / "peers.lock"
CODE = ROOT / "bench" / "peers"

SCHEMA = """
DROP TABLE IF EXISTS projects, events, project_users;
CREATE TABLE projects (id uuid PRIMARY KEY, name text NOT NULL, users integer NOT NULL,
    status text NOT NULL DEFAULT 'pending', link_id text, done integer NOT NULL DEFAULT 0,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(), active_at timestamptz, synced_at_active integer);
CREATE TABLE events (id bigserial PRIMARY KEY, project_id uuid NOT NULL, type text NOT NULL, payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp());
CREATE TABLE project_users (project_id uuid, user_id integer,
    synced_at timestamptz NOT NULL DEFAULT clock_timestamp(), PRIMARY KEY (project_id, user_id));
"""


@dataclass(frozen=True)
class Kind:
    """How a peer is started: its module, and its workers' commands with their environments."""

    module: str
    workers: Sequence[Sequence[str]] = ()
    environments: Sequence[Mapping[str, str]] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def _celery(pool: str, size: int) -> list[list[str]]:
    options = ["-P", pool, "-c", str(size), "-l", "WARNING", "--without-gossip", "--without-mingle"]
    return [["celery", "-A", "with_celery", "worker", "-n", f"w{number}@%h", *options] for number in (1, 2)]


_TASKIQ = ["taskiq", "worker", "with_taskiq:broker", "-w", "1", "--max-async-tasks", "100"]
_FASTSTREAM = ["faststream", "run", "with_faststream:app", "--log-level", "warning"]
_ROLES = ({"PEER_ROLE": "link"}, {"PEER_ROLE": "users"}, {"PEER_ROLE": "projector"})

KINDS: Mapping[str, Kind] = {
    "old way": Kind("inline"),
    "Celery prefork": Kind("with_celery", _celery("prefork", 8), environment={"PEER_POOL": "1"}),
    "Celery threads": Kind("with_celery", _celery("threads", 25)),
    "Dramatiq": Kind("with_dramatiq", [["dramatiq", "with_dramatiq", "-p", "1", "-t", "25"]] * 2),
    "taskiq": Kind("with_taskiq", [[*_TASKIQ, "--ack-type", "when_executed", "--log-level", "WARNING"]] * 2),
    "FastStream": Kind("with_faststream", [_FASTSTREAM] * 3, _ROLES),
    "DBOS": Kind("with_dbos", [["python", "with_dbos.py", "w1"], ["python", "with_dbos.py", "w2"]]),
}  # fmt: skip


class Rival:
    """One peer."""

    virtual_host = PEERS
    database = PEERS

    def __init__(self, ground: Ground, name: str) -> None:
        self.ground = ground
        self.name = name
        self._kind = KINDS[name]
        self.processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(self) -> None:
        """An empty database and virtual host, then API and workers."""
        self.ground.reset_virtual_host()
        await _fresh_databases(self.ground)
        if self._kind.module == "with_dbos":  # the first worker makes DBOS's own tables
            self.start_one("worker 1")
            await asyncio.sleep(5)
        self.start_one("api")
        await asyncio.to_thread(wait_listening, self.ground.ports["bench-api"])
        for number in range(1, len(self._kind.workers) + 1):
            if f"worker {number}" not in self.processes:
                self.start_one(f"worker {number}")
        await asyncio.sleep(1)

    def start_one(self, name: str) -> None:
        """Starts the API or a worker."""
        number = 0 if name == "api" else int(name.split()[1])
        command = self._kind.workers[number - 1] if number else self._api()
        program = [str(VENV / "bin" / command[0]), *command[1:]]
        own = self._kind.environments[number - 1] if number and self._kind.environments else {}
        environment = {
            "PEER_DATABASE": self.ground.peers_database_url,
            "PEER_AMQP": self.ground.peers_amqp_url,
            "PEER_REDIS": self.ground.redis_url,
            "PEER_CLOUD": self.ground.cloud_url,
            "PYTHONPATH": str(CODE),
            "HOME": str(DIRECTORY),
            "PATH": f"{VENV / 'bin'}{os.pathsep}{os.environ['PATH']}",
            **self._kind.environment,
            **own,
        }
        log = f"{self.name} {name}".replace(" ", "-").lower()
        self.processes[name] = self.ground.spawn(log, program, environment, folder=CODE)

    def kill(self, name: str) -> None:
        """Ends the API or a worker, with its children, as a power cut would."""
        end(self.processes[name], signal.SIGKILL)

    async def stop(self) -> None:
        for process in self.processes.values():
            end(process, signal.SIGKILL)
        self.processes.clear()

    def pids(self) -> list[int]:
        return [process.pid for process in self.processes.values()]

    def client(self) -> Client:
        return Client(self.ground.ports["bench-api"])

    async def post(self, client: Client, users: int) -> str:
        body = {"name": f"bench-{uuid.uuid4().hex[:12]}", "users": users}
        status, answer, _ = await client.request("POST", "/admin/v1/projects", body)
        if status not in (201, 202):
            raise RuntimeError(f"{self.name}: POST answered {status}: {answer[:300]!r}")
        return str(json.loads(answer)["id"])

    async def is_active(self, db: Any, project: str) -> bool:
        return bool(await db.fetchval("SELECT status = 'active' FROM projects WHERE id = $1", project))

    async def active(self, db: Any) -> int:
        return int(await db.fetchval("SELECT count(*) FROM projects WHERE status = 'active'"))

    async def unfinished(self, db: Any) -> int:
        """How many projects are not active yet."""
        return int(await db.fetchval("SELECT count(*) FROM projects WHERE status <> 'active'"))

    async def reset(self, db: Any) -> None:
        await db.execute("TRUNCATE projects, events, project_users")

    def _api(self) -> list[str]:
        options = ["--factory", "--port", str(self.ground.ports["bench-api"]), "--no-access-log"]
        fast = ["--timeout-keep-alive", "60", "--log-level", "warning", "--loop", "uvloop", "--http", "httptools"]
        return ["uvicorn", f"{self._kind.module}:api", *options, *fast]


async def _fresh_databases(ground: Ground) -> None:
    admin = await asyncpg.connect(**ground.superuser())
    try:
        for name in (PEERS, f"{PEERS}_dbos"):
            await admin.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            await admin.execute(f"CREATE DATABASE {name} OWNER uca_owner")
    finally:
        await admin.close()
    owner = await asyncpg.connect(ground.peers_database_url)
    await owner.execute(SCHEMA)
    await owner.close()


def install() -> None:
    """The peers' own virtual environment, from their lock; made at the first time and when the lock has changed."""
    stamp = VENV / "lock"
    if stamp.exists() and stamp.read_bytes() == LOCK.read_bytes():
        return
    print("Installing the peers into .cache/peers …", flush=True)
    uv = str(Path(sys.executable).with_name("uv"))
    subprocess.run([uv, "venv", "-q", "--clear", "--python", sys.executable, str(VENV)], check=True)
    subprocess.run(
        [uv, "pip", "sync", "-q", "--python", str(VENV), "--require-hashes", str(LOCK)], check=True, env=_configured()
    )
    stamp.write_bytes(LOCK.read_bytes())


def _configured() -> dict[str, str]:
    """uv reads no pip configuration: a machine's own index and certificates are handed on."""
    pip = [str(Path(sys.executable).with_name("pip")), "config", "get"]
    given = dict(os.environ)
    for variable, name in (("UV_DEFAULT_INDEX", "global.index-url"), ("SSL_CERT_FILE", "global.cert")):
        found = subprocess.run([*pip, name], capture_output=True, text=True, check=False).stdout.strip()
        if found:
            given.setdefault(variable, found)
    return given
