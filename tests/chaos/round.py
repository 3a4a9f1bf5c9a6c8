"""One round: people ask, things break, all heals, it comes to rest and is judged; then everything is deleted again."""

import asyncio
import os
from collections.abc import Mapping, Sequence
from random import Random

from local.services import SERVICES, executable

from tests.chaos import quiet, reading, report, strikes, traffic
from tests.chaos.client import Client
from tests.chaos.history import History
from tests.chaos.operations import DELETE
from tests.chaos.oracle import judge
from tests.chaos.population import Population
from tests.chaos.violation import Violation
from tests.faults import verdict
from tests.faults.ground import Ground

EMPTY = "nothing is left on the cloud once every project was deleted"
READ_MODEL = (
    "SELECT identifier, to_jsonb(s)::text AS row FROM status_projector.project_status AS s"
    " UNION ALL SELECT identifier, to_jsonb(u)::text FROM status_projector.user_status AS u ORDER BY row"
)
REBUILT = "the read model that is folded again from the log has the same bytes"


async def run(ground: Ground, seed: int, seconds: float) -> bool:
    """Whether everything held; what did not is printed."""
    history, there = History(), Population(seed)
    client = Client(ground.api_urls, ground.values["UCA_ADMIN_TOKEN"], Random(f"{seed} client"), history, there)
    try:
        before = await verdict.baseline(ground)
        await traffic.settle_people(client)
        print(f"seed {seed}: {seconds:.0f} s of chaos …", flush=True)
        # Each has its own dice: a kill more does not change what is asked for.
        await asyncio.gather(
            traffic.send_for(client, Random(f"{seed} traffic"), seconds),
            strikes.break_cloud(ground, client, Random(f"{seed} cloud"), seconds),
            strikes.break_services(ground, client, Random(f"{seed} services"), seconds),
            strikes.break_servers(ground, client, Random(f"{seed} servers"), seconds),
        )
        asked = client.now
        await quiet.heal(ground, client)
        (ground.directory / f"seed-{seed}.history").write_text(report.whole(history))
        left, refailed = await quiet.come_to_rest(ground, client)
        print(report.operations(history, client.now - asked), flush=True)
        world = await reading.read_world(ground, client, before, left, refailed)
        found: Mapping[str, Sequence[Violation]] = {**judge(history.sent, world), REBUILT: await _rebuild(ground)}
        if not any(found.values()):
            found = {**found, EMPTY: await _delete_all(ground, client, list(world.seen))}
        print(report.checks(found), flush=True)
        for text in report.stories(found, history, world):
            print(text, flush=True)
        return not any(found.values())
    finally:
        await client.close()


async def _rebuild(ground: Ground) -> Sequence[Violation]:
    before = await _read_model(ground)
    (projector,) = (each for each in SERVICES if each.name == "status-projector")
    environment = {**os.environ, **ground.services.environment(projector, 1, ground.stack.environment)}
    process = await asyncio.create_subprocess_exec(
        executable(projector.name), "rebuild", env=environment, stdout=asyncio.subprocess.DEVNULL
    )
    if code := await process.wait():
        return [Violation(None, "the rebuild failed", code)]
    after = await _read_model(ground)
    return [
        Violation(identifier, "a rebuild changes it", [rows, after.get(identifier)])
        for identifier, rows in before.items()
        if rows != after.get(identifier)
    ]


async def _read_model(ground: Ground) -> Mapping[str, Sequence[str]]:
    found: dict[str, list[str]] = {}
    for row in await ground.rows(READ_MODEL):
        found.setdefault(row["identifier"], []).append(row["row"])
    return found


async def _delete_all(ground: Ground, client: Client, identifiers: Sequence[str]) -> Sequence[Violation]:
    for identifier in identifiers:
        while (await client.send(DELETE, {}, places={"identifier": identifier})).unsure:
            await asyncio.sleep(0.5)
    left = await quiet.wait(ground)
    objects = (await ground.cloud())["objects"]
    kept = {kind: objects[kind] for kind in ("projects", "grants", "policies", "active_keys") if objects[kind]}
    return [Violation(None, "something is left", {**kept, **left})] if kept or left else []
