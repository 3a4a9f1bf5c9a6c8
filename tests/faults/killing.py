"""Rows 1, 2, 3 and 18: services that die at the worst moment, freeze, or stop turning."""

import asyncio
import random
import signal
import time
from collections import Counter
from collections.abc import Mapping, Sequence

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
    kills = {name: _kills(name, trial.scale.kill_chance, times) for name in PLACES}
    trial.ground.arm({each: kills[each.partition(".")[0]] for each in trial.ground.instances})
    until = time.monotonic() + 60 + times * 30
    async with trial.load(over=times * 15):
        await _remove_some(trial, 5)
    while _missing(trial, times) and time.monotonic() < until:  # a service that is dead passes no place
        trial.stream.count += trial.scale.projects // 20
        await trial.stream.run()
    trial.ground.disarm()
    hits = sum(sum(_hits(trial, name).values()) for name in PLACES)
    trial.note(f"{hits} kills at {sum(map(len, PLACES.values()))} places")
    trial.expect(not _missing(trial, times), f"hit less than {times} times: {', '.join(_missing(trial, times))}")


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


def _hits(trial: Trial, name: str) -> Counter[str]:
    record = trial.ground.record(name)
    return Counter(record.read_text().split() if record.exists() else [])


def _missing(trial: Trial, times: int) -> list[str]:
    return [
        f"{name} {place}" for name, places in PLACES.items() for place in places if _hits(trial, name)[place] < times
    ]


async def _strike(trial: Trial, action: str, names: Sequence[str]) -> None:
    """Arms one failpoint of each second replica, and waits until all have been struck."""
    trial.ground.arm({f"{name}.2": action for name in names})
    struck = await trial.ground.until(lambda: all(_hits(trial, name) for name in names), 60)
    trial.expect(struck, f"{action} did not strike everyone")


async def die_at_random(trial: Trial) -> None:
    """A service killed every 3 s for 5 minutes, which is five times the full matrix's ``freeze``."""
    kills, seconds = 0, 5 * trial.scale.freeze
    async with trial.load(over=seconds):
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            trial.ground.send(random.choice(trial.ground.instances), signal.SIGKILL)
            kills += 1
            await asyncio.sleep(3)
    trial.note(f"{kills} kills")


async def freeze(trial: Trial) -> None:
    """SIGSTOP of both kinds of worker right after a cloud call, while they hold a lease; CONT once others have it."""
    workers = "link-provisioner", "user-syncer"
    frozen = [f"{name}.2" for name in workers]
    before = sum([await _refused(trial, name) for name in frozen])
    async with trial.load():
        await _strike(trial, "after_cloud_call=stop:1x1", workers)
        await asyncio.sleep(trial.scale.freeze)
        for name in frozen:
            trial.ground.send(name, signal.SIGCONT)
    refused = 0.0
    for _ in range(100):
        refused = sum([await _refused(trial, name) for name in frozen]) - before
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
    names = "link-provisioner", "user-syncer", "status-projector"
    before = await trial.ground.metrics("uca_broker_reconnects_total")
    async with trial.load():
        await _strike(trial, f"before_commit=block{trial.scale.block}:1x1", names)
        await asyncio.sleep(trial.scale.block)
    lost = await trial.ground.metrics("uca_broker_reconnects_total") - before
    trial.note(f"{trial.scale.block} s each, {lost:.0f} reconnects")
    if trial.scale.block > 30:
        trial.expect(lost > 0, "no worker had to reconnect")
