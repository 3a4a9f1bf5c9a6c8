"""W4: what is left undone, or done twice, when workers and the API are killed while 60 projects run."""

import asyncio
import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from local.services import API, SERVICES

from bench.ground import Ground, database
from bench.ours import DEFAULT_IN_FLIGHT, IN_FLIGHT, Ours
from bench.workloads import warm_up

PROJECTS, USERS = 60, 20
WORKERS = tuple(service.name for service in SERVICES if service.name != API)
QUIET = 60.0
"""Seconds without progress after which what is left counts as stuck: longer than a lease and the sweeper's look."""

BESIDE = ((1, IN_FLIGHT), (4, IN_FLIGHT))
"""Replicas of each service and calls in flight: the peers' number, in one process and in more."""

EARLY = (
    "SELECT count(*) FROM project_api.projects p JOIN status_projector.project_status s USING (identifier)"
    " WHERE s.status = 'active' AND p.participants > (SELECT count(*) FROM user_syncer.member_records m"
    " WHERE m.identifier = p.identifier AND m.state = 'synced')"
)
UNHEARD = (
    "SELECT count(*) FROM project_api.projects p"
    " WHERE NOT EXISTS (SELECT FROM link_provisioner.links l WHERE l.identifier = p.identifier)"
)
TWICE = (
    "SELECT count(*) FROM user_syncer.member_records WHERE credential_version <> 1 OR cardinality(retired_key_ids) > 0"
)


PROGRESS = {
    API: ("SELECT count(*) FROM project_api.projects", PROJECTS),
    "link-provisioner": ("SELECT count(*) FROM link_provisioner.links WHERE state = 'linked'", PROJECTS),
    "user-syncer": ("SELECT count(*) FROM user_syncer.member_records WHERE state = 'synced'", PROJECTS * USERS),
    "status-projector": ("SELECT count(*) FROM status_projector.events", PROJECTS * (USERS + 2)),
}
"""How far a service is with its own work, and how much that is in all."""


async def run(ground: Ground, workers: int, apis: int, few: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Kills workers, then APIs, one at a time; the sums, and each kill's own account.

    The product's own number of calls is in flight: a kill repeats what the killed process had there, which is what that
    number is for. Beside it a few kills of user-syncer with as many as the peers make, where any are asked for.
    """
    kills = [WORKERS[number % len(WORKERS)] for number in range(workers)] + [API] * apis
    accounts = await _series(Ours(ground, in_flight=DEFAULT_IN_FLIGHT), kills, say)
    beside = []
    for replicas, in_flight in BESIDE if few else ():
        say(f"{replicas} replicas, {in_flight} calls in flight altogether")
        each = await _series(Ours(ground, replicas, in_flight=in_flight), ["user-syncer"] * few, say)
        most = max(account["repeats"] for account in each)
        beside.append({"replicas": replicas, "in_flight": in_flight, "repeats_per_kill": most, "each": each})
    return _sums(accounts, workers, apis) | {"beside": beside}


async def _series(side: Ours, kills: Sequence[str], say: Callable[[str], None]) -> list[dict[str, Any]]:
    chance = random.Random(1)
    accounts = []
    db = await database(side.ground)
    try:
        await side.start()
        await warm_up(side, db)
        for number, victim in enumerate(kills, start=1):
            account = await _one(side, db, victim, chance.uniform(0.1, 0.8))
            accounts.append(account)
            say(
                f"kill {number} of {len(kills)}: {victim}, again complete after {account['recovered_s']:.1f} s,"
                f" {account['repeats']} calls repeated"
            )
    finally:
        await side.stop()
        await db.close()
    return accounts


async def _one(side: Ours, db: Any, victim: str, part: float) -> dict[str, Any]:
    await side.reset(db)
    await side.ground.set_cloud(50, 20)
    early: list[int] = []
    watching = asyncio.create_task(_watch(side.ground, early))
    posting = asyncio.create_task(_post(side, lost=(OSError, RuntimeError) if victim == API else (OSError,)))
    await _reached(side, db, victim, part, posting)
    left_at_kill = await side.unfinished(db)
    side.kill(victim)
    if victim != API:
        await asyncio.sleep(2)
    began = time.perf_counter()
    if victim == API:
        side.restart(victim)  # the clients wait for it, too
    else:
        side.start_one(victim)
    failed_posts = await posting
    left = await _worked_off(side, db)
    recovered = time.perf_counter() - began
    watching.cancel()
    with suppress(asyncio.CancelledError):  # but no other end of it: it would have missed what it is there to see
        await watching
    client = side.ground.cloud()
    _, body, _ = await client.request("GET", "/stats")
    client.close()
    calls = json.loads(body)
    return {
        "victim": victim,
        "at": part,
        "left_at_kill": left_at_kill,
        "recovered_s": recovered,
        "failed_posts": failed_posts,
        "never_run": await db.fetchval(UNHEARD),
        "stuck": left,
        "early": max(early),
        "repeats": calls["user_calls"] - calls["users"] + calls["link_calls"] - calls["links"],
        "double_effects": await db.fetchval(TWICE),
    }


async def _watch(ground: Ground, early: list[int]) -> None:
    """Looks again and again, for at the end every user is there and nothing is early any more."""
    db = await database(ground)
    try:
        while True:
            early.append(await db.fetchval(EARLY))
            await asyncio.sleep(0.05)
    finally:
        await db.close()


async def _post(side: Ours, lost: tuple[type[Exception], ...]) -> int:
    """Eight clients post; a request that is lost with the API, or refused by one that starts, is counted and not sent
    again.
    """
    left, failed = PROJECTS, 0

    async def send() -> None:
        nonlocal left, failed
        client = side.client()
        while left > 0:
            left -= 1
            try:
                await side.post(client, USERS)
            except lost:
                failed += 1
                await asyncio.sleep(0.2)
        client.close()

    await asyncio.gather(*(send() for _ in range(8)))
    return failed


async def _reached(side: Ours, db: Any, victim: str, part: float, posting: "asyncio.Task[int]") -> None:
    """Returns once the victim has done this part of its own work, so that the kill finds it in the middle."""
    statement, all_of_it = PROGRESS[victim]
    until = time.perf_counter() + 20
    while await db.fetchval(statement) < all_of_it * part and time.perf_counter() < until:
        if victim == API and posting.done():
            return
        await asyncio.sleep(0.003)


async def _worked_off(side: Ours, db: Any) -> int:
    """How many projects are not active after nothing has moved for a while; 0 as soon as all are."""
    last, since = None, time.perf_counter()
    while left := await side.unfinished(db):
        done = await db.fetchval("SELECT count(*) FROM status_projector.events")
        if (left, done) != last:
            last, since = (left, done), time.perf_counter()
        if time.perf_counter() - since > QUIET:
            return left
        await asyncio.sleep(0.1)
    return 0


def _sums(accounts: list[dict[str, Any]], workers: int, apis: int) -> dict[str, Any]:
    total = {key: sum(each[key] for each in accounts) for key in ("stuck", "never_run", "early", "double_effects")}
    most = max((each["repeats"] for each in accounts if each["victim"] != API), default=0)
    return total | {
        "in_flight": DEFAULT_IN_FLIGHT,
        "worker_kills": workers,
        "api_kills": apis,
        "repeats_per_kill": most,
        "longest_recovery_s": max(each["recovered_s"] for each in accounts),
        "each": accounts,
    }
