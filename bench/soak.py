"""The soak: a steady load for long, in which memory, connections, handles and tables must stay as they are."""

import asyncio
import time
from collections.abc import Callable
from statistics import median
from typing import Any

from bench import accounting
from bench.ground import Ground, database
from bench.ours import Ours, Refused
from bench.workloads import settled, warm_up

PER_SECOND = 4
"""Projects a second, each of 20 users."""
SAMPLES = 180
"""One in ten seconds of half an hour."""
KEEP = 0.25
"""The part of the projects that stays; older ones are removed, as by an admin, so that tables can be flat at all."""

MOST_REFUSALS = 20
"""More than that is no bad moment of the machine."""

SIZES = (
    "SELECT (SELECT count(*) FROM pg_stat_activity WHERE datname = 'uca' AND usename LIKE 'uca_%') AS connections,"
    " (SELECT sum(n_dead_tup)::float / greatest(sum(n_live_tup), 1) FROM pg_stat_user_tables) AS dead,"
    " (SELECT count(*) FROM project_api.outbox) + (SELECT count(*) FROM link_provisioner.outbox)"
    " + (SELECT count(*) FROM user_syncer.outbox) AS outbox,"
    " (SELECT count(*) FROM user_syncer.chunks) AS chunks"
)


async def run(ground: Ground, minutes: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Samples, and how much memory's last third lies over its middle one."""
    side = Ours(ground)
    db = await database(ground)
    samples: list[dict[str, float]] = []
    try:
        await side.start()
        await warm_up(side, db)
        load = asyncio.create_task(_load(side, minutes * 60))
        began = time.monotonic()
        while not load.done():
            samples.append(await _sample(side, db) | {"minute": (time.monotonic() - began) / 60})
            if len(samples) % 30 == 0:
                say(", ".join(f"{name} {value:.3g}" for name, value in samples[-1].items()))
            await asyncio.wait([load], timeout=max(2.0, minutes * 60 / SAMPLES))
        refusals = await load
        await settled(side, db)
    finally:
        await side.stop()
        await db.close()
    third = max(1, len(samples) // 3)
    middle, last = ([each["pss_mb"] for each in part] for part in (samples[third : 2 * third], samples[-third:]))
    for refusal in refusals:
        say(f"refused: {refusal}")
    growth = median(last) / median(middle or last) - 1
    return {"minutes": minutes, "growth": growth, "refusals": refusals, "samples": samples}


async def _load(side: Ours, seconds: float) -> list[str]:
    """What was refused: a disk that stands still for seconds ends no half hour, and is told."""
    await side.ground.set_cloud(100, 20)
    client, idle, refusals = side.client(), list[str](), list[str]()
    began, projects = time.monotonic(), int(seconds * PER_SECOND)
    for number in range(projects):
        await asyncio.sleep(max(0.0, began + number / PER_SECOND - time.monotonic()))
        try:
            idle.append(await side.post(client, 20))
            if len(idle) > KEEP * projects:
                await side.remove(client, idle[0])
                idle.pop(0)
        except Refused as refusal:
            refusals.append(str(refusal))
            if len(refusals) > MOST_REFUSALS:
                raise
    client.close()
    return refusals


async def _sample(side: Ours, db: Any) -> dict[str, float]:
    row = await db.fetchrow(SIZES)
    return {
        "pss_mb": accounting.memory_mb(side.pids())[1],
        "handles": accounting.handles(side.pids()),
        **{name: float(row[name] or 0) for name in ("connections", "dead", "outbox", "chunks")},
    }
