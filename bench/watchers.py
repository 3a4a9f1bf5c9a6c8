"""W6: sockets that watch and pages that poll, while projects run."""

import asyncio
import json
import time
from collections.abc import Callable
from datetime import datetime
from typing import Any

from local.services import API
from websockets.asyncio.client import ClientConnection, connect

from bench import accounting
from bench.figures import percentile
from bench.ground import Ground, database
from bench.ours import Ours
from bench.workloads import settled, warm_up

PROJECTS = 20
EVERY = 2.0
"""Seconds between two polls of a page."""
STEPS = {"link", "users", "active"}


async def run(ground: Ground, *, sockets: int, pollers: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Whether every socket is told every step, how late, and what a poll costs when nothing has changed."""
    side = Ours(ground)
    db = await database(ground)
    try:
        await side.start()
        await warm_up(side, db)
        await ground.set_cloud(3000, 500)
        client = side.client()
        projects = [await side.post(client, 20) for _ in range(PROJECTS)]
        client.close()
        heard = await _watch(side, db, projects, sockets, say)
        cost = await _polls(side, projects, pollers)
    finally:
        await side.stop()
        await db.close()
    delays = [delay for each in heard for delay in each.values()]
    return {
        "sockets": sockets,
        "pollers": pollers,
        "missed": sum(len(STEPS - each.keys()) for each in heard),
        "p50_ms": percentile(delays, 0.5),
        "p95_ms": percentile(delays, 0.95),
        "delays_ms": sorted(delays)[:: max(1, len(delays) // 500)],
        **cost,
    }


async def _watch(
    side: Ours, db: Any, projects: list[str], sockets: int, say: Callable[[str], None]
) -> list[dict[str, float]]:
    """By socket, the milliseconds from each step's event to its arrival. Sockets come in while the projects wait."""
    heard: list[dict[str, float]] = [{} for _ in range(sockets)]
    gate = asyncio.Semaphore(50)
    listening = [
        asyncio.create_task(_listen(side, projects[number % len(projects)], heard[number], gate))
        for number in range(sockets)
    ]
    await settled(side, db)
    _, late = await asyncio.wait(listening, timeout=10)
    for task in late:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    say(f"{sum(each.keys() >= STEPS for each in heard)} of {sockets} sockets were told every step")
    return heard


async def _listen(side: Ours, project: str, heard: dict[str, float], gate: asyncio.Semaphore) -> None:
    address = f"ws://127.0.0.1:{side.port}/app/{side.push_key}?protocol=7&client=js&version=8.4.0"
    async with gate:
        connection = await connect(address, compression=None, open_timeout=60, ping_interval=None)
        await _subscribe(side, connection, project)
    async with connection:
        while not heard.keys() >= STEPS:
            frame = json.loads(await connection.recv())
            now = time.time()
            if frame["event"].startswith("Project"):
                step = json.loads(frame["data"])["step"]
                if step["status"] == "completed":
                    at = datetime.fromisoformat(step["updated_at"]).timestamp()
                    heard.setdefault(step["id"], (now - at) * 1000)


async def _subscribe(side: Ours, connection: ClientConnection, project: str) -> None:
    greeting = json.loads(json.loads(await connection.recv())["data"])
    channel = f"private-projects.{project}"
    client = side.client()
    asked = {"socket_id": greeting["socket_id"], "channel_name": channel}
    status, body, _ = await client.request("POST", "/api/v1/broadcasting/auth", asked)
    client.close()
    if status != 200:
        raise RuntimeError(f"the signature was refused: {body!r}")
    data = {"channel": channel, "auth": json.loads(body)["auth"]}
    await connection.send(json.dumps({"event": "pusher:subscribe", "data": data}))


async def _polls(side: Ours, projects: list[str], pollers: int, seconds: float = 12) -> dict[str, float]:
    """Milliseconds of project-api's CPU for a poll that is answered 304; each page has read its status once before."""
    paths = [f"/admin/v1/projects/{projects[number % len(projects)]}/status" for number in range(pollers)]
    clients = [side.client() for _ in range(pollers)]
    tags = [(await each.request("GET", path))[2]["etag"] for each, path in zip(clients, paths, strict=True)]
    count = 0
    pids = [side.processes[API].pid]
    idle = await _idle(pids)

    async def poll(number: int) -> None:
        nonlocal count
        await asyncio.sleep(EVERY * number / pollers)
        while time.perf_counter() < until:
            asked = {"If-None-Match": tags[number]}
            status, _, _ = await clients[number].request("GET", paths[number], headers=asked)
            if status != 304:
                raise RuntimeError(f"an unchanged status answered {status}")
            count += 1
            await asyncio.sleep(EVERY)

    before = accounting.cpu_seconds(pids)
    began = time.perf_counter()
    until = began + seconds
    await asyncio.gather(*(poll(number) for number in range(pollers)))
    used = accounting.cpu_seconds(pids) - before - idle * (time.perf_counter() - began)
    for client in clients:
        client.close()
    return {"polls": count, "poll_cpu_ms": max(0.0, used) * 1000 / count}


async def _idle(pids: list[int], seconds: float = 3) -> float:
    """CPU seconds a second that the process uses with nothing to do."""
    before = accounting.cpu_seconds(pids)
    await asyncio.sleep(seconds)
    return (accounting.cpu_seconds(pids) - before) / seconds
