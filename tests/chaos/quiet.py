"""Heals everything, and waits until nothing goes on any more; bounded, for what never ends is a finding."""

import asyncio
import time
from collections.abc import Mapping, Sequence

from tests.chaos.client import Client
from tests.chaos.operations import MAINTENANCE_ENDS, RETRY
from tests.chaos.population import REGIONS
from tests.chaos.scale import STRAYS_AFTER
from tests.faults import verdict
from tests.faults.ground import Ground

CALM = 3
"""Looks in a row that find nothing: between two of them a message may be in nobody's count."""

RETRIES = 3

GOING = """
    SELECT (SELECT count(*)::int FROM project_api.projects AS p LEFT JOIN status_projector.project_status AS s
            ON s.identifier = p.identifier AND s.run = p.run
        WHERE NOT coalesce(s.finished, false) OR (p.goal = 'remove' AND s.status <> 'failed')) AS runs,
        (SELECT count(*)::int FROM user_syncer.chunks WHERE NOT superseded) AS chunks
"""
UNCERTAIN = """
    SELECT (SELECT count(*)::int FROM user_syncer.member_records JOIN project_api.projects USING (identifier)
        WHERE may_have_issued) + (SELECT count(*)::int FROM link_provisioner.links
        WHERE look_again_at IS NOT NULL AND state = 'removed') AS n
"""
FAILED = """
    SELECT p.identifier FROM project_api.projects AS p
    JOIN status_projector.project_status AS s ON s.identifier = p.identifier AND s.run = p.run
    WHERE s.status = 'failed'
"""


async def heal(ground: Ground, client: Client) -> None:
    """Everything runs, the cloud is well, and no region is in maintenance."""
    await ground.restore()
    for region in REGIONS:
        while not (await client.send(MAINTENANCE_ENDS, {}, places={"region": region})).accepted:
            await asyncio.sleep(0.5)


async def come_to_rest(ground: Ground, client: Client) -> tuple[Mapping[str, int], Mapping[str, str]]:
    """Waits, has retried what failed meanwhile, and waits until what the cloud may have made late was looked for.

    Returns what is left, by where, and with its reason what failed although the cloud was well.
    """
    await wait(ground)
    refailed: dict[str, str] = {}
    for retry in range(RETRIES):
        failed = {row["identifier"]: await _reason(client, row["identifier"]) for row in await ground.rows(FAILED)}
        refailed |= failed if retry else {}
        for identifier in failed:
            while (await client.send(RETRY, {}, places={"identifier": identifier})).unsure:
                await asyncio.sleep(0.5)
        if not failed:
            break
        await wait(ground)
    until = client.now + STRAYS_AFTER * 6
    while (await ground.rows(UNCERTAIN))[0]["n"] and client.now < until:
        await asyncio.sleep(0.5)
    return await wait(ground), refailed


async def _reason(client: Client, identifier: str) -> str:
    answer = await client.get(f"/projects/{identifier}/status")
    return str(answer.json().get("error")) if answer is not None else "no answer"


async def wait(ground: Ground, seconds: float = verdict.STUCK_AFTER) -> Mapping[str, int]:
    """Returns as soon as nothing has been left for a while, and else what is left at the end of that time."""
    begin, calm = time.monotonic(), 0
    left: Mapping[str, int] = {}
    while calm < CALM and time.monotonic() - begin < seconds:
        try:
            left = await _left(ground)
        except (OSError, TimeoutError):
            left = {"a database or broker that does not answer": 1}
        calm = 0 if any(left.values()) else calm + 1
        await asyncio.sleep(0.4)
    return {where: count for where, count in left.items() if count}


async def _left(ground: Ground) -> Mapping[str, int]:
    (row,) = await ground.rows(GOING)
    names: Sequence[str] = ("runs", "chunks")
    return {name: int(row[name]) for name in names} | {"outboxes and queues": await verdict.queued(ground)}
