"""What is done while people ask: services are killed, ended and frozen, broker and database die and forget, and the
cloud fails in every way."""

import asyncio
import signal
from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any

import asyncpg
import httpx
from backbone import topology

from tests.chaos.client import Client
from tests.chaos.history import Strike
from tests.faults.ground import DEFAULT_BEHAVIOUR, NAMES, Ground

FROZEN = 6.0
"""Seconds; longer than a lease."""

PAUSES = 1.5, 3.0, 5.0
SERVER_PAUSES = 5.0, 8.0, 12.0
"""Seconds between strikes on broker and database, which take the longest to come back."""
ASKED_AGAIN = tuple(name for name in NAMES if name != "status-projector")
"""Whose messages may be lost. What the timeline has lost of a run that a newer one has replaced stays missing."""


def _refusing(random: Random, client: Client) -> Mapping[str, Any]:
    emails = random.sample(sorted(client.there.users.values()), min(2, len(client.there.users)))
    names = sorted(client.there.projects.values())
    return {"fail_emails": emails, "fail_project_names": [random.choice(names)] if names else []}


Fault = Callable[[Random, Client], Mapping[str, Any]]
FAULTS: Mapping[str, Fault] = {
    "well": lambda *_: {},
    "errors": lambda random, _: {"error_rate": random.choice((0.1, 0.4)), "error_status": random.choice((500, 503))},
    "conflicts": lambda *_: {"error_rate": 0.15, "error_status": 409},
    "too many": lambda random, _: {"rate_limit_per_s": random.choice((3, 15))},
    "cut after success": lambda random, _: {"cut_after_success_rate": random.choice((0.15, 0.5))},
    "hangs": lambda *_: {"hang_rate": 0.15},
    "slow": lambda *_: {"latency_ms": {"default": 300, "project": 900, "user": 700}},
    "carried out too late": lambda *_: {"latency_ms": {"default": 0, "project": 3500, "user": 3000}},
    "all too late": lambda *_: {"latency_ms": {"default": 2500, "project": 2500, "user": 2500}},
    "down": lambda *_: {"down": True},
    "refuses some": _refusing,
    "short tokens": lambda *_: {"token_ttl_s": 1},
    "a bit of all": lambda *_: {"error_rate": 0.1, "cut_after_success_rate": 0.2, "hang_rate": 0.05},
}


async def break_cloud(ground: Ground, client: Client, random: Random, seconds: float) -> None:
    """One fault of the cloud after another."""
    until = client.now + seconds
    while client.now < until:
        name = random.choice(list(FAULTS))
        behaviour = FAULTS[name](random, client)
        client.history.strikes.append(Strike(client.now, f"cloud: {name} {dict(behaviour)}"))
        await ground.behave(**{**DEFAULT_BEHAVIOUR, **behaviour})
        await asyncio.sleep(random.choice(PAUSES))


async def break_services(ground: Ground, client: Client, random: Random, seconds: float) -> None:
    """Kills one after another, now and then freezes a worker; all that was frozen goes on at the end."""
    until, frozen = client.now + seconds, list[tuple[float, str]]()
    try:
        while client.now < until:
            await asyncio.sleep(random.choice(PAUSES))
            frozen = _thawed(ground, client, frozen)
            name = random.choice(ground.instances)
            freezes = random.random() < 0.2 and not name.startswith("project-api")
            if freezes:
                frozen.append((client.now + FROZEN, name))
            ends = not freezes and random.random() < 0.4
            ground.send(name, signal.SIGSTOP if freezes else signal.SIGTERM if ends else signal.SIGKILL)
            words = "frozen" if freezes else "told to end" if ends else "killed"
            client.history.strikes.append(Strike(client.now, f"{name} {words}"))
    finally:
        for _, name in frozen:
            ground.send(name, signal.SIGCONT)


def _thawed(ground: Ground, client: Client, frozen: list[tuple[float, str]]) -> list[tuple[float, str]]:
    for until, name in frozen:
        if until <= client.now:
            ground.send(name, signal.SIGCONT)
            client.history.strikes.append(Strike(client.now, f"{name} goes on"))
    return [each for each in frozen if each[0] > client.now]


async def _broker_killed(ground: Ground, _: Random) -> str:
    ground.send("broker", signal.SIGKILL)
    return "killed"


async def _connections_closed(ground: Ground, _: Random) -> str:
    return f"closes {await ground.broker.close_connections()} connections"


def _queue(random: Random) -> str:
    return topology.names(random.choice(ASKED_AGAIN)).work


async def _queue_deleted(ground: Ground, random: Random) -> str:
    queue = _queue(random)
    await ground.broker.delete_queue(queue)
    return f"{queue} deleted"


async def _bindings_deleted(ground: Ground, random: Random) -> str:
    queue = _queue(random)
    return f"{await ground.broker.delete_bindings(queue)} bindings of {queue} deleted"


async def _database_killed(ground: Ground, _: Random) -> str:
    ground.send("database", signal.SIGQUIT)
    return "ended at once"


async def _sessions_ended(ground: Ground, _: Random) -> str:
    ended = await ground.rows(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'uca' AND pid <> pg_backend_pid()"
    )
    return f"ends {len(ended)} sessions"


SERVERS: Mapping[str, tuple[Callable[[Ground, Random], Awaitable[str]], ...]] = {
    "broker": (_broker_killed, _connections_closed, _queue_deleted, _bindings_deleted),
    "database": (_database_killed, _sessions_ended),
}


async def break_servers(ground: Ground, client: Client, random: Random, seconds: float) -> None:
    """One strike on broker or database after another; one that finds it away already is none."""
    until = client.now + seconds
    while client.now < until:
        await asyncio.sleep(random.choice(SERVER_PAUSES))
        name = random.choice(list(SERVERS))
        strike = random.choice(SERVERS[name])
        try:
            words = await strike(ground, random)
        except (OSError, TimeoutError, httpx.HTTPError, asyncpg.PostgresError) as error:
            words = f"away: {error!r}"
        client.history.strikes.append(Strike(client.now, f"{name} {words}"))
