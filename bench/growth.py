"""W5: what grows with users, with projects in the tables, and with the backlog."""

import asyncio
import time
from collections.abc import Callable, Sequence
from statistics import median
from typing import Any

from local.services import API

from bench.figures import percentile
from bench.ground import Ground, database
from bench.ours import DEFAULT_IN_FLIGHT, IN_FLIGHT, Ours
from bench.workloads import LINK_MS, USER_MS, one, settled, warm_up, worked_off

READERS = 4
READ = 1000
"""How many projects are read, however many there are: what grows is the tables, and not what is asked of them."""
CALL_MS = 100
"""A cloud call of the backlog: long enough for a replica to wait for calls, and not for the machine."""


async def users(side: Ours, db: Any, sizes: Sequence[int], repeats: int) -> dict[int, float]:
    """By users, W1's milliseconds over the ideal: one link call, then users 100 at a time."""
    await side.ground.set_cloud(LINK_MS, USER_MS)
    client = side.client()
    found = {}
    for size in sizes:
        ideal = LINK_MS + USER_MS * -(-size // IN_FLIGHT)
        found[size] = median([await one(side, db, client, size) for _ in range(repeats)]) - ideal
    client.close()
    return found


async def tables(side: Ours, db: Any, sizes: Sequence[int], reads: int, say: Callable[[str], None]) -> dict[str, Any]:
    """By projects in the tables, p99 milliseconds of a status and of the list's first page."""
    client = side.client()
    pattern = await side.post(client, 2)
    client.close()
    await settled(side, db)
    await _closed(db, pattern)
    found: dict[str, Any] = {"status_p99_ms": {}, "list_p99_ms": {}}
    have = 0
    for size in sizes:
        began = time.perf_counter()
        await _fill(db, pattern, have, size)
        have = size
        say(f"{size} projects in the tables, after {time.perf_counter() - began:.0f} s")
        paths = [f"/admin/v1/projects/G{number}/status" for number in range(1, size, max(1, size // READ))]
        rounds = [await _read(side, paths, reads) for _ in range(3)]
        found["status_p99_ms"][size] = median(percentile(each, 0.99) for each in rounds)
        rounds = [await _read(side, ["/admin/v1/projects?per_page=15"], reads // 4) for _ in range(3)]
        found["list_p99_ms"][size] = median(percentile(each, 0.99) for each in rounds)
    return found


async def _read(side: Ours, paths: Sequence[str], count: int) -> list[float]:
    taken: list[float] = []

    async def read(start: int) -> None:
        client = side.client()
        for number in range(start, count, READERS):
            began = time.perf_counter()
            status, _, _ = await client.request("GET", paths[number * 7919 % len(paths)])
            taken.append((time.perf_counter() - began) * 1000)
            if status != 200:
                raise RuntimeError(f"GET answered {status}")
        client.close()

    await asyncio.gather(*(read(start) for start in range(READERS)))
    return taken


FILLED = (
    "project_api.projects",
    "project_api.participants",
    "status_projector.project_status",
    "status_projector.user_status",
)


async def _closed(db: Any, project: str) -> None:
    """Returns once the sweeper has closed it: copies of an open one would be a million runs to look after."""

    async def is_open() -> int:
        return int(await db.fetchval("SELECT open FROM project_api.projects WHERE identifier = $1", project))

    if await worked_off(is_open, pause=0.1):
        raise TimeoutError(f"the sweeper does not close {project}")


async def _fill(db: Any, pattern: str, have: int, want: int) -> None:
    """Copies one closed project until there are so many, each a second older than the one before."""
    for table in FILLED:
        schema, name = table.split(".")
        found = await db.fetch(
            "SELECT column_name, data_type LIKE 'timestamp%' AS is_time FROM information_schema.columns"
            " WHERE table_schema = $1 AND table_name = $2 AND is_generated = 'NEVER' AND is_identity = 'NO'"
            " ORDER BY ordinal_position",
            schema,
            name,
        )
        columns = [row["column_name"] for row in found]
        values = {
            row["column_name"]: f"t.{row['column_name']} - n * interval '1 second'" for row in found if row["is_time"]
        }
        values["identifier"] = "'G' || n"
        if table == "project_api.projects":
            values["name"] = "t.name || n"
        picked = ", ".join(values.get(each, f"t.{each}") for each in columns)
        await db.execute(
            f"INSERT INTO {table} ({', '.join(columns)}) SELECT {picked} FROM {table} AS t,"
            f" generate_series($2::int + 1, $3::int) AS n WHERE t.identifier = $1",
            pattern,
            have,
            want,
            timeout=1800,
        )
        await db.execute(f"VACUUM ANALYZE {table}", timeout=1800)
    await db.execute("CHECKPOINT", timeout=1800)  # lest the load is still being written while its reads are measured


async def backlog(ground: Ground, projects: int, replicas: Sequence[int], say: Callable[[str], None]) -> dict[str, Any]:
    """Projects a second by replicas: a backlog of small projects, 100 ms a call, so many calls at once a replica."""
    found: dict[int, float] = {}
    lost = 0
    for number in replicas:
        side = Ours(ground, replicas=number, in_flight=DEFAULT_IN_FLIGHT * number)
        db = await database(ground)
        try:
            await side.start()
            await warm_up(side, db)
            await ground.set_cloud(CALL_MS, CALL_MS)
            for name in [each for each in side.processes if not each.startswith(API)]:
                side.kill(name)
            await side.reset(db)
            await _pile_up(side, projects)
            for name in side.names():
                if name not in side.processes or side.processes[name].poll() is not None:
                    side.start_one(name)
            began = time.perf_counter()
            found[number], left = await _rate(side, db, projects)
            lost += left
            took = time.perf_counter() - began
            say(f"{number} replicas: {found[number]:.1f} projects/s, drained in {took:.0f} s, {left} lost")
        finally:
            await side.stop()
            await db.close()
    return {"projects_per_s": found, "lost": lost, "backlog": projects}


async def _rate(side: Ours, db: Any, projects: int) -> tuple[float, int]:
    """Projects a second from 40 % to 95 % of the backlog, when all replicas are up; and how many of those that were
    answered 201 never became active.
    """
    marks: list[tuple[float, int]] = []

    async def missing() -> int:
        marks.append((time.perf_counter(), await side.active(db)))
        return projects - marks[-1][1]

    left = await worked_off(missing, pause=0.1)
    steady = [mark for mark in marks if 0.4 * projects <= mark[1] <= 0.95 * projects] or marks
    (first_at, first), (last_at, last) = steady[0], steady[-1]
    return (last - first) / max(0.1, last_at - first_at), left


async def _pile_up(side: Ours, projects: int) -> None:
    left = projects

    async def send() -> None:
        nonlocal left
        client = side.client()
        while left > 0:
            left -= 1
            await side.post(client, 2)
        client.close()

    await asyncio.gather(*(send() for _ in range(8)))


async def run(ground: Ground, *, quick: bool, say: Callable[[str], None]) -> dict[str, Any]:
    """All three curves."""
    sizes = (1, 10, 100, 500) if quick else (1, 10, 100, 1000, 5000)
    counts = (1_000, 50_000) if quick else (1_000, 100_000, 1_000_000)
    replicas = (1, 4) if quick else (1, 2, 4)
    side = Ours(ground)
    db = await database(ground)
    try:
        await side.start()
        await warm_up(side, db)
        overheads = await users(side, db, sizes, 2 if quick else 5)
        say("users: " + ", ".join(f"{size}: +{over:.0f} ms" for size, over in overheads.items()))
        await side.reset(db)
        read = await tables(side, db, counts, 3000 if quick else 20_000, say)
        await side.reset(db)
    finally:
        await side.stop()
        await db.close()
    drained = await backlog(ground, 400 if quick else 10_000, replicas, say)
    few, many = sizes[1], sizes[-1]
    rates = drained["projects_per_s"]
    return {
        "overhead_ms": overheads,
        **read,
        **drained,
        "overhead_growth": max(overheads[many], 0.1) / max(overheads[few], 0.1) / (many / few),
        "status_ratio": _last_to_first(read["status_p99_ms"]),
        "list_ratio": _last_to_first(read["list_p99_ms"]),
        "drain_ratio": rates[replicas[-1]] / rates[replicas[0]],
    }


def _last_to_first(found: dict[int, float]) -> float:
    values = list(found.values())
    return values[-1] / values[0]
