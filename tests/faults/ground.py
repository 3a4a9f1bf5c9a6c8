"""The private stack that the matrix breaks: two replicas of each service, everything reached by pid, port or SQL.

The second replicas reach broker, database and cloud through proxies. Failpoints of all are armed by files.
"""

import asyncio
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from local.services import SERVICES, Services
from local.stack import Stack

from tests.faults import detour
from tests.faults.broker import Admin
from tests.faults.proxy import Proxy
from tests.faults.scale import Scale

REPLICAS = 2
NAMES = tuple(service.name for service in SERVICES)
SCHEMAS = tuple(service.schema for service in SERVICES)

Choice = Mapping[str, Mapping[str, str]]
"""Settings by instance, before all others."""


class Ground:
    """Opened by :meth:`open`; whatever a row did to it is undone by :meth:`restore`."""

    def __init__(self, directory: Path, scale: Scale) -> None:
        self.directory = directory
        self._roles = scale.roles
        self.stack = Stack(directory, {"PATH": os.environ["PATH"], **scale.settings})
        self._choice: Choice = {}
        self._opened = AsyncExitStack()

    async def open(self) -> None:
        """Starts everything on empty data, and waits until it is ready; and for its turn, where another run is here."""
        await self._turn()
        await asyncio.to_thread(self.stack.down, wipe=True)
        for left in (*self.directory.glob("*.hits"), *self.directory.glob("*.failpoints")):
            left.unlink()
        self.parts = self.stack.infrastructure()
        self.services: Services = self.stack.services(self.parts, REPLICAS)
        self.proxies: Mapping[str, Proxy] = {
            way: await self._opened.enter_async_context(proxy)
            for way, proxy in detour.proxies(self.directory, self.parts, self.services).items()
        }
        self._usual = detour.settings(self.directory, self.services, self.proxies, self._roles)
        for name in self.instances:
            record = {"FAILPOINTS_RECORD": str(self.record(name)), "FAILPOINTS": f"@{self._armed(name)}"}
            self._usual[name] = self._usual.get(name, {}) | record
        self.values = await asyncio.to_thread(self.stack.up, REPLICAS, self._usual)
        self.api_urls = self.services.api_urls
        self.simulator = httpx.AsyncClient(base_url=self.services.simulator_url, timeout=30)
        self.http = httpx.AsyncClient(timeout=5)
        self.broker = Admin(self.parts, self.directory)
        for close in (self.simulator.aclose, self.http.aclose, self.broker.close):
            self._opened.push_async_callback(close)

    async def _turn(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self._opened.enter_context((self.directory / "turn").open("w"))
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)

    async def close(self) -> None:
        """Ends everything, drops its data and keeps its logs."""
        await asyncio.to_thread(self.stack.down, wipe=True)
        await self._opened.aclose()

    # --- failpoints

    def record(self, instance: str) -> Path:
        """The file that gets a line for each hit of a failpoint of this service."""
        return self.directory / f"{instance.partition('.')[0]}.hits"

    def _armed(self, instance: str) -> Path:
        return self.directory / f"{instance}.failpoints"

    def arm(self, specifications: Mapping[str, str]) -> None:
        """Arms running instances, from their next passing on; earlier hits are forgotten."""
        for instance in specifications:
            self.record(instance).unlink(missing_ok=True)
        for instance, specification in specifications.items():
            part = self.directory / f"{instance}.part"
            part.write_text(specification)
            part.rename(self._armed(instance))

    def disarm(self) -> None:
        """No failpoint strikes any more."""
        for instance in self.instances:
            self._armed(instance).unlink(missing_ok=True)

    # --- processes

    @property
    def instances(self) -> list[str]:
        return list(self.services.metrics_urls)

    def pid(self, name: str) -> int:
        """The process that the supervisor keeps under this name."""
        return int((self.directory / f"{name}.pid").read_text())

    def send(self, name: str, number: signal.Signals) -> None:
        """Signals that process; one that is just being started again is left alone."""
        try:
            os.kill(self.pid(name), number)
        except ProcessLookupError:
            return

    def family(self, name: str) -> list[int]:
        """That process and its children, as PostgreSQL has them."""
        parent = self.pid(name)
        return [parent, *_children(parent)]

    async def restart(self, choice: Choice) -> None:
        """Starts again, with these settings, the instances whose settings differ from now; waits until all are ready.

        Instances that ``choice`` doesn't name get their usual settings back.
        """
        if choice != self._choice:
            self._choice = choice
            await asyncio.to_thread(self._configure)
        await self.ready()

    def _configure(self) -> None:
        programs = [
            replace(each, environment={**each.environment, **self._choice.get(each.name, {})})
            for each in self.services.programs(self.stack.environment, self._usual)
        ]
        self.stack.supervisor.configure([*self.parts.programs(), *programs])
        for each in programs:
            self.stack.supervisor.start(each.name)

    async def ready(self) -> None:
        """Returns once every instance says that it is ready. Raises TimeoutError."""
        async with asyncio.timeout(60):
            for url in [*self.services.metrics_urls.values(), *self.api_urls]:
                while not await self._is_ready(url):
                    await asyncio.sleep(0.2)

    async def _is_ready(self, url: str) -> bool:
        try:
            return (await self.http.get(f"{url}/readyz")).is_success
        except httpx.HTTPError:
            return False

    async def stop(self, name: str) -> None:
        """Ends a program gracefully; it stays down."""
        await asyncio.to_thread(self.stack.supervisor.stop, [name])

    async def start(self, name: str) -> None:
        """Starts a program that was stopped or given up."""
        await asyncio.to_thread(self.stack.supervisor.start, name)

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Whether the condition came to hold within so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                while not condition():
                    await asyncio.sleep(0.1)
        except TimeoutError:
            return False
        return True

    async def restore(self) -> None:
        """Everything runs again as at the start; what was learned and stored stays."""
        self.disarm()
        for proxy in self.proxies.values():
            proxy.heal()
        for name in (*self.instances, "database", "broker"):
            if self.stack.supervisor.state(name) in ("FATAL", "STOPPED", "EXITED"):
                await self.start(name)
        await self.behave(**DEFAULT_BEHAVIOUR)
        await self.restart({})

    # --- the database, as its superuser: row-level security binds even the owner

    async def connect(self) -> "asyncpg.Connection[asyncpg.Record]":
        database = self.parts.database
        return await asyncpg.connect(
            host="127.0.0.1",
            port=database.port,
            user="postgres",
            password=database.superuser_password,
            database="uca",
            timeout=5,
            command_timeout=30,
        )

    async def rows(self, statement: str, *parameters: Any) -> Sequence[asyncpg.Record]:
        """The rows of one statement, on a connection of its own."""
        connection = await self.connect()
        try:
            rows: Sequence[asyncpg.Record] = await connection.fetch(statement, *parameters)
            return rows
        finally:
            await connection.close()

    async def database_answers(self) -> None:
        """Returns once the database takes connections again. Raises TimeoutError."""
        async with asyncio.timeout(90):
            while True:
                try:
                    await self.rows("SELECT 1")
                except (OSError, asyncpg.PostgresError, TimeoutError):
                    await asyncio.sleep(0.1)
                else:
                    return

    # --- what instances and the cloud tell

    async def behave(self, **behaviour: Any) -> None:
        """Has the cloud misbehave from now on."""
        (await self.simulator.put("/_sim/behaviour", json=behaviour)).raise_for_status()

    async def cloud(self) -> dict[str, Any]:
        """The simulator's counts."""
        return dict((await self.simulator.get("/_sim/stats")).raise_for_status().json())

    async def metric(self, instance: str, name: str, **labels: str) -> float:
        """The sum of a metric's series that bear these labels, in one instance; 0 where it doesn't answer."""
        try:
            answer = await self.http.get(f"{self.services.metrics_urls[instance]}/metrics")
        except httpx.HTTPError:
            return 0
        wanted = [f'{label}="{value}"' for label, value in labels.items()]
        return sum(
            float(line.rpartition(" ")[2])
            for line in answer.text.splitlines()
            if line.partition(" ")[0].partition("{")[0] == name and all(each in line for each in wanted)
        )

    async def metrics(self, name: str, **labels: str) -> float:
        """The same over all instances."""
        return sum([await self.metric(each, name, **labels) for each in self.instances])


DEFAULT_BEHAVIOUR: Mapping[str, Any] = {
    "latency_ms": {"default": 0, "project": 200, "user": 50},
    "error_rate": 0.0,
    "error_status": 500,
    "rate_limit_per_s": None,
    "retry_after_s": 1,
    "hang_rate": 0.0,
    "cut_after_success_rate": 0.0,
    "fail_emails": [],
    "fail_project_names": [],
    "down": False,
    "token_ttl_s": 14400,
}


def _children(parent: int) -> Iterator[int]:
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rpartition(")")[2].split()
            except OSError:  # it has just ended
                continue
            if int(fields[1]) == parent:
                yield int(entry.name)
