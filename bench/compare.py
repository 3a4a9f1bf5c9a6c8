"""The comparison: every side in turn, round after round, on one ground."""

import asyncio
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench import messages, workloads
from bench.ground import Ground, database
from bench.ours import Ours
from bench.rivals import KINDS, Rival, install
from bench.workloads import Side


@dataclass(frozen=True)
class Effort:
    """How much is measured, and of which side not everything. Times in seconds."""

    rounds: int
    w1_repeats: int
    w2_slow: float
    w2_full: float
    w3_projects: int
    without: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


FULL = Effort(rounds=3, w1_repeats=9, w2_slow=20, w2_full=6, w3_projects=200)
QUICK = Effort(
    rounds=1,
    w1_repeats=5,
    w2_slow=6,
    w2_full=2,
    w3_projects=200,
    without={"taskiq": ("messages",), "Celery prefork": ("w2", "messages")},  # a minute for what no bar asks
)

US = Ours.name
ALL = (US, *KINDS)
ESSENTIAL = (US, "taskiq", "Celery prefork")
"""Ourselves, and the peers that the bars name."""

WORKLOADS = ("w1", "w2", "w3", "messages")


async def run(
    ground: Ground, names: Sequence[str], effort: Effort, wanted: Sequence[str], say: Callable[[str], None]
) -> dict[str, list[dict[str, Any]]]:
    """By side, what each of its rounds measured; a round that failed says why."""
    results: dict[str, list[dict[str, Any]]] = defaultdict(list)
    if len(names) > 1:
        install()
    for number in range(effort.rounds):
        for name in names if number % 2 == 0 else [*names][::-1]:
            say(f"round {number + 1} of {effort.rounds}: {name}")
            asked = [each for each in wanted if each not in effort.without.get(name, ())]
            results[name].append(await measure(side_of(ground, name), effort, asked))
    return dict(results)


def side_of(ground: Ground, name: str) -> Side:
    """A side by its name. Raises KeyError."""
    return Ours(ground) if name == US else Rival(ground, name)


async def measure(side: Side, effort: Effort, wanted: Sequence[str]) -> dict[str, Any]:
    """One round of a side, from its start to its end; where it failed, ``failed`` says why."""
    found: dict[str, Any] = {}
    db = None
    try:
        await side.start()
        db = await database(side.ground, side.database)
        await workloads.warm_up(side, db)
        if "w1" in wanted:
            found |= await workloads.w1(side, db, effort.w1_repeats)
        if "w2" in wanted and side.name != "old way":
            found |= await workloads.w2_slow(side, db, effort.w2_slow)
        if "w3" in wanted:
            found |= await workloads.w3(side, db, effort.w3_projects)
        if "w2" in wanted:
            found |= await workloads.w2_full(side, db, effort.w2_full)
            if side.name == US:  # a peer's next turn begins with nothing, ours with what is there
                await workloads.settled(side, db)
        if "messages" in wanted and side.name != "old way":
            found["messages"] = await messages.per_project(side, db)
    except (TimeoutError, RuntimeError, OSError) as failure:
        found["failed"] = repr(failure)
    finally:
        await side.stop()
        if db:
            await db.close()
        await asyncio.sleep(0.5)
    return found
