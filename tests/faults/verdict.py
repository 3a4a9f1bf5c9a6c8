"""What must hold after every fault: nothing lost, doubled, stuck, left over or parked that was not poison."""

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import asyncpg
from backbone import topology
from backbone.retries import RUNGS

from tests.faults.ground import NAMES, SCHEMAS, Ground
from tests.faults.stream import Stream

STUCK_AFTER = 120.0
"""Seconds after the fault by which everything must have come to its end."""

QUEUES = [
    queue
    for name in NAMES
    for queue in (
        topology.names(name).work,
        topology.names(name).parked,
        *(topology.retry_queue(name, rung) for rung in RUNGS),
    )
]

STANDING = """
    SELECT each AS identifier, p.identifier IS NOT NULL AS known, s.status, coalesce(s.finished, false) AS finished
    FROM unnest($1::text[]) AS each LEFT JOIN project_api.projects AS p ON p.identifier = each
    LEFT JOIN status_projector.project_status AS s ON s.identifier = each AND s.run = p.run
"""
TWICE = """
    SELECT count(*) - count(DISTINCT name) FROM project_api.projects
    WHERE starts_with(name, $1) AND NOT identifier = ANY($2::text[])
"""
PARTIAL = """
    SELECT count(*) FROM project_api.projects AS p WHERE starts_with(name, $1) AND participants <>
    (SELECT count(*) FROM project_api.participants AS each WHERE each.identifier = p.identifier)
"""


@dataclass
class Verdict:
    """The figures of one row; all but the first, ``failed_runs`` and ``seconds`` should be nothing."""

    accepted: int = 0
    lost: int = 0
    doubled_links: int = 0
    doubled_keys: int = 0
    doubled_projects: int = 0
    stuck: int = 0
    queued: int = 0
    parked: int = 0
    partial: int = 0
    failed_runs: list[str] = field(default_factory=list)
    seconds: float = 0

    @property
    def duplicates(self) -> int:
        return self.doubled_links + self.doubled_keys + self.doubled_projects

    @property
    def settled(self) -> bool:
        return not (self.lost or self.stuck or self.queued or self.duplicates)


@dataclass(frozen=True)
class Baseline:
    """What had been counted for good before the row began."""

    doubled_links: int
    parked: int


async def baseline(ground: Ground) -> Baseline:
    """To be taken before the fault."""
    return Baseline(doubled_links(await ground.cloud()), await parked(ground))


def doubled_links(cloud: dict[str, Any]) -> int:
    """Cloud projects that were made beside another of their mark, since the simulator began."""
    return int(cloud["duplicate_effects"] - cloud["duplicate_keys"])


async def settle(ground: Ground, stream: Stream, before: Baseline, *, queues: bool = True) -> Verdict:
    """The figures, as soon as they are as they should be, and else as they are when that should have been.

    Without ``queues`` what others still have under way doesn't count.
    """
    begin = time.monotonic()
    while True:
        try:
            verdict = await _look(ground, stream, before)
            verdict.queued *= queues
        except (asyncpg.PostgresError, OSError, TimeoutError) as error:
            if time.monotonic() - begin > STUCK_AFTER:
                raise TimeoutError(f"database or broker did not come back: {error!r}") from error
            await asyncio.sleep(0.3)
            continue
        verdict.seconds = time.monotonic() - begin
        if verdict.settled or verdict.seconds > STUCK_AFTER:
            return verdict
        await asyncio.sleep(0.3)


async def _look(ground: Ground, stream: Stream, before: Baseline) -> Verdict:
    connection = await ground.connect()
    try:
        kept = [each for each in stream.accepted.values() if each not in stream.removed]
        rows = await connection.fetch(STANDING, kept)
        gone = await connection.fetchval(
            "SELECT count(*) FROM project_api.projects WHERE identifier = ANY($1::text[])", list(stream.removed)
        )
        removed = list(stream.removed)
        twice = await connection.fetchval(TWICE, f"{stream.prefix}-", removed)
        partial = await connection.fetchval(PARTIAL, f"{stream.prefix}-")
    finally:
        await connection.close()
    cloud = await ground.cloud()
    return Verdict(
        accepted=len(stream.accepted),
        lost=sum(not row["known"] for row in rows),
        doubled_links=doubled_links(cloud) - before.doubled_links,
        doubled_keys=cloud["duplicate_keys"],
        doubled_projects=twice + stream.contradictions,
        stuck=sum(row["known"] and not row["finished"] for row in rows) + gone,
        queued=await queued(ground),
        parked=await parked(ground) - before.parked,
        partial=partial,
        failed_runs=[row["identifier"] for row in rows if row["status"] == "failed"],
    )


async def queued(ground: Ground) -> int:
    """Messages anywhere between an outbox and an ack."""
    unsent = " UNION ALL ".join(f"SELECT count(*) AS n FROM {schema}.outbox" for schema in SCHEMAS)
    (row,) = await ground.rows(f"SELECT sum(n)::int AS n FROM ({unsent}) AS outboxes")
    waiting = sum((await ground.broker.lengths(QUEUES)).values())
    return int(row["n"]) + waiting + int(await ground.metrics("uca_messages_in_flight"))


async def parked(ground: Ground) -> int:
    """Dead letters that nobody has decided on."""
    open_ = " UNION ALL ".join(f"SELECT count(*) AS n FROM {schema}.parked" for schema in SCHEMAS)
    (row,) = await ground.rows(f"SELECT sum(n)::int AS n FROM ({open_}) AS tables")
    return int(row["n"])


async def run_seconds(ground: Ground, identifiers: Sequence[str]) -> list[float]:
    """How long each of these runs took, by the read model."""
    rows = await ground.rows(
        "SELECT extract(epoch FROM completed_at - started_at)::float AS seconds FROM status_projector.project_status"
        " WHERE identifier = ANY($1::text[]) AND finished",
        list(identifiers),
    )
    return [row["seconds"] for row in rows]


def p95(seconds: Sequence[float]) -> float:
    """Of a few numbers, the largest."""
    return sorted(seconds)[int(len(seconds) * 0.95)] if seconds else 0.0
