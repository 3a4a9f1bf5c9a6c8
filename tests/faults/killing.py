"""Rows 1, 2, 3 and 18: services that die at the worst moment, freeze, or stop turning."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

from tests.faults.ground import instances_of
from tests.faults.trial import Trial

COMMITS = ("before_commit", "after_commit", "before_ack")
PUBLISHES = ("before_publish", "before_confirm", "after_confirm", "before_mark")
PLACES: Mapping[str, tuple[str, ...]] = {
    "project-api": (*COMMITS, *PUBLISHES),
    "link-provisioner": (*COMMITS, *PUBLISHES, "after_cloud_call"),
    "user-syncer": (*COMMITS, *PUBLISHES, "after_cloud_call"),
    "status-projector": COMMITS,  # it has no facts of its own to publish
}


async def die_at_failpoints(trial: Trial) -> None:
    """SIGKILL at each named place of each service, so many times."""
    times = trial.scale.kills_per_failpoint
    records = _records(trial)
    specifications = {name: _kills(name, trial.scale.kill_chance, times) for name in PLACES}
    await _arm(trial, specifications, records, list(PLACES))
    async with trial.load(over=times * 20):
        removing = asyncio.create_task(_remove_some(trial, 5))
        await trial.ground.until(lambda: not _missing(records, times), times * 30)
        await removing
    await trial.ground.until(lambda: not _missing(records, times), 20)
    hits = sum(len(record.read_text().split()) for record in records.values() if record.exists())
    trial.note(f"{hits} kills at {sum(map(len, PLACES.values()))} places")
    trial.expect(not _missing(records, times), f"hit less than {times} times: {', '.join(_missing(records, times))}")
    await trial.ground.restart({})


def _kills(name: str, chance: float, times: int) -> str:
    # project-api consumes the ends of removals only, which are few: it dies at each.
    chances = {place: 1 if (name, place) == ("project-api", "before_ack") else chance for place in PLACES[name]}
    return ",".join(f"{place}=kill:{chance}x{times}" for place, chance in chances.items())


async def _remove_some(trial: Trial, number: int) -> None:
    """Removals make project-api a consumer, too."""
    while len(trial.stream.accepted) < number:
        await asyncio.sleep(0.1)
    for identifier in list(trial.stream.accepted.values())[:number]:
        await trial.stream.remove(identifier)


def _records(trial: Trial) -> dict[str, Path]:
    records = {name: trial.ground.directory / f"{name}.hits" for name in PLACES}
    for record in records.values():
        record.unlink(missing_ok=True)
    return records


async def _arm(
    trial: Trial, specifications: Mapping[str, str], records: Mapping[str, Path], names: list[str], replica: int = 0
) -> None:
    chosen = [each for each in instances_of(*names) if not replica or each.endswith(f".{replica}")]
    await trial.ground.restart(
        {
            each: {
                "FAILPOINTS": specifications[each.partition(".")[0]],
                "FAILPOINTS_RECORD": str(records[each.partition(".")[0]]),
            }
            for each in chosen
        }
    )


def _missing(records: Mapping[str, Path], times: int) -> list[str]:
    hits = {name: Counter(path.read_text().split() if path.exists() else []) for name, path in records.items()}
    return [f"{name} {place}" for name, places in PLACES.items() for place in places if hits[name][place] < times]


async def die_at_random(trial: Trial) -> None:
    """A service killed every 3 s for 5 minutes."""
    kills = 0
    async with trial.load(over=300):
        end = time.monotonic() + 300
        while time.monotonic() < end:
            trial.ground.send(random.choice(trial.ground.instances), signal.SIGKILL)
            kills += 1
            await asyncio.sleep(3)
    trial.note(f"{kills} kills")


async def freeze(trial: Trial) -> None:
    """SIGSTOP of both kinds of worker right after a cloud call, while they hold a lease; CONT once others have it."""
    records = _records(trial)
    workers = ["link-provisioner", "user-syncer"]
    await _arm(trial, dict.fromkeys(workers, "after_cloud_call=stop:1x1"), records, workers, replica=2)
    frozen = instances_of(*workers)[2:]
    async with trial.load():
        stopped = await trial.ground.until(lambda: all(records[name].exists() for name in workers), 60)
        trial.expect(stopped, "no worker froze")
        await asyncio.sleep(trial.scale.freeze)
        for name in frozen:
            trial.ground.send(name, signal.SIGCONT)
    refused = 0.0
    for _ in range(100):
        refused = sum([await _refused(trial, name) for name in frozen])
        if refused:
            break
        await asyncio.sleep(0.2)
    trial.note(f"{refused:.0f} stale writes refused")
    trial.expect(refused > 0, "no stale write was refused")


async def _refused(trial: Trial, name: str) -> float:
    """What a worker that woke had begun before, and was not let finish: its lease or its message was another's."""
    repeated = await trial.ground.metric(name, "uca_messages_handled_total", outcome="repeated")
    log = trial.ground.stack.supervisor.log(name).read_text(errors="replace")
    return repeated + log.count('"chunk.lost"') + log.count("the lease was lost")


async def block(trial: Trial) -> None:
    """A worker's event loop stands still in the middle of a transaction, longer than the broker waits for it."""
    records = _records(trial)
    names = ["link-provisioner", "user-syncer", "status-projector"]
    blocking = dict.fromkeys(names, f"before_commit=block{trial.scale.block}:1x1")
    await _arm(trial, blocking, records, names, replica=2)
    async with trial.load():
        hit = await trial.ground.until(lambda: all(records[name].exists() for name in names), 60)
        trial.expect(hit, "no event loop stood still")
    await asyncio.sleep(0 if trial.scale.block < 20 else trial.scale.block / 2)
    lost = sum([await trial.ground.metric(f"{name}.2", "uca_broker_reconnects_total") for name in names])
    trial.note(f"{trial.scale.block} s each, {lost:.0f} reconnects")
    if trial.scale.block > 30:
        trial.expect(lost > 0, "no worker had to reconnect")
