"""The workloads that every side runs: one project alone (W1), POSTs (W2), and a burst to the end (W3)."""

import asyncio
import subprocess
import time
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from bench import accounting
from bench.ground import Ground
from bench.http import Client

LINK_MS, USER_MS = 200.0, 50.0
IDEAL_MS = LINK_MS + USER_MS
W1_USERS = 50
GIVE_UP = 120.0
"""Seconds that one project may take to become active, and that many may stand still: a long line is no failure."""


class Side(Protocol):
    """One system of the comparison."""

    ground: Ground
    name: str
    database: str
    virtual_host: str
    processes: dict[str, "subprocess.Popen[bytes]"]

    async def start(self) -> None: ...
    async def stop(self) -> None: ...
    def pids(self) -> list[int]: ...
    def client(self) -> Client: ...
    async def post(self, client: Client, users: int) -> str: ...
    async def is_active(self, db: Any, project: str) -> bool: ...
    async def active(self, db: Any) -> int: ...
    async def unfinished(self, db: Any) -> int: ...
    async def reset(self, db: Any) -> None: ...


async def one(side: Side, db: Any, client: Client, users: int) -> float:
    """Milliseconds from a POST to `active`, looked at every 4 ms. Raises TimeoutError."""
    began = time.perf_counter()
    project = await side.post(client, users)
    while not await side.is_active(db, project):
        if time.perf_counter() - began > GIVE_UP:
            raise TimeoutError(f"{side.name}: a project of {users} users is not active after {GIVE_UP:.0f} s")
        await asyncio.sleep(0.004)
    return (time.perf_counter() - began) * 1000


async def warm_up(side: Side, db: Any, projects: int = 5) -> None:
    """Connections, caches and plans as they are in a service that has run for a while."""
    await side.ground.set_cloud(0, 0)
    client = side.client()
    for _ in range(projects):
        await one(side, db, client, 20)
    client.close()
    await _closed_loop(side, 4, 1.0)
    await settled(side, db)


async def w1(side: Side, db: Any, repeats: int) -> dict[str, Any]:
    """One project of 50 users at a time; the ideal is one link call, then all users at once."""
    await side.ground.set_cloud(LINK_MS, USER_MS)
    client = side.client()
    taken = [await one(side, db, client, W1_USERS) for _ in range(repeats)]
    client.close()
    return {"w1_ms": taken}


async def w2_slow(side: Side, db: Any, seconds: float) -> dict[str, Any]:
    """Six POSTs a second, whatever the answers take."""
    await side.ground.set_cloud(0, 0)
    taken: list[float] = []
    idle: list[Client] = []

    async def send() -> None:
        client = idle.pop() if idle else side.client()
        began = time.perf_counter()
        await side.post(client, 20)
        taken.append((time.perf_counter() - began) * 1000)
        idle.append(client)

    began = time.perf_counter()
    tasks = []
    for number in range(int(6 * seconds)):
        await asyncio.sleep(max(0.0, began + number / 6 - time.perf_counter()))
        tasks.append(asyncio.create_task(send()))
    await asyncio.gather(*tasks)
    for client in idle:
        client.close()
    await settled(side, db)
    return {"w2_slow_ms": taken}


async def w2_full(side: Side, db: Any, seconds: float) -> dict[str, Any]:
    """Sixteen connections that post without pause, while the workers work; what they then have in line stays there."""
    await side.ground.set_cloud(0, 0)
    taken, wall = await _closed_loop(side, 16, seconds)
    return {"w2_full_ms": taken, "w2_full_per_s": len(taken) / wall}


async def w3(side: Side, db: Any, projects: int) -> dict[str, Any]:
    """Projects of 20 users, posted at once, until all are active; with what it costs."""
    await side.ground.set_cloud(0, 0)
    groups = {"services": side.pids(), **side.ground.servers()}
    services = {name: accounting.cpu_seconds([process.pid]) for name, process in side.processes.items()}
    before = accounting.Snapshot.take(groups)
    memory: list[tuple[float, float]] = []
    watch = asyncio.create_task(_watch_memory(side.pids(), memory))
    try:
        wall = await burst(side, db, projects)
    finally:
        watch.cancel()
    used = before.until(accounting.Snapshot.take(groups))
    memory.append(accounting.memory_mb(side.pids()))
    users = projects * 20
    shared = used["services"] + used["broker"] + used["database"] + used["redis"]
    return {
        "w3_users_per_s": users / wall,
        "cpu_ms_per_user": shared * 1000 / users,
        "cpu_seconds": used | {"wall": wall},
        "by_service": {n: accounting.cpu_seconds([p.pid]) - services[n] for n, p in side.processes.items()},
        "w3_projects": projects,
        "rss_mb": max(each[0] for each in memory),
        "pss_mb": max(each[1] for each in memory),
    }


async def burst(side: Side, db: Any, projects: int) -> float:
    """Seconds from the first POST until so many more projects are active. Raises TimeoutError if they stand still."""
    start, left = await side.active(db), projects
    began = time.perf_counter()

    async def send() -> None:
        nonlocal left
        client = side.client()
        while left > 0:
            left -= 1
            await side.post(client, 20)
        client.close()

    await asyncio.gather(*(send() for _ in range(16)))

    async def missing() -> int:
        return start + projects - await side.active(db)

    if stuck := await worked_off(missing, pause=0.03):
        raise TimeoutError(f"{side.name}: {stuck} of {projects} projects stand still, {GIVE_UP:.0f} s long")
    return time.perf_counter() - began


async def settled(side: Side, db: Any) -> None:
    """Returns once every project is active: the backlog is worked off. Raises TimeoutError where it stands still."""

    async def unfinished() -> int:
        return await side.unfinished(db)

    if stuck := await worked_off(unfinished, pause=0.05):
        raise TimeoutError(f"{side.name}: {stuck} projects stand still, {GIVE_UP:.0f} s long")


async def worked_off(left: Callable[[], Awaitable[int]], pause: float, patience: float = GIVE_UP) -> int:
    """Waits until nothing is left, or no less for ``patience`` seconds; how many are left then."""
    least, since = await left(), time.perf_counter()
    while least > 0 and time.perf_counter() - since < patience:
        await asyncio.sleep(pause)
        if (now := await left()) < least:
            least, since = now, time.perf_counter()
    return least


async def _closed_loop(side: Side, connections: int, seconds: float) -> tuple[list[float], float]:
    taken: list[float] = []
    until = time.perf_counter() + seconds

    async def send() -> None:
        client = side.client()
        while time.perf_counter() < until:
            began = time.perf_counter()
            await side.post(client, 20)
            taken.append((time.perf_counter() - began) * 1000)
        client.close()

    began = time.perf_counter()
    await asyncio.gather(*(send() for _ in range(connections)))
    return taken, time.perf_counter() - began


async def _watch_memory(pids: list[int], samples: list[tuple[float, float]]) -> None:
    while True:
        samples.append(accounting.memory_mb(pids))
        await asyncio.sleep(1.5)
