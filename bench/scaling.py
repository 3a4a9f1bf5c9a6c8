"""What it takes for more: replicas, broker nodes and database size from measured costs, checked by a simulation.

`python -m bench scaling [FILE]` takes the costs from a run's JSON, the newest by default.
"""

import heapq
import json
import math
import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from bench.report import RESULTS

USERS = 20
RATES = (10, 1_000, 100_000)
"""Projects a minute."""
HEADROOM = 0.6
"""The part of a core that may be used in the long run, so that a burst finds room."""

STEPS = ("project-api", "link-provisioner", "user-syncer", "status-projector")
BYTES_PER_PROJECT = 50_000
"""Database bytes of a project of 20 users, with indexes and events: 60 projects took 3.3 MB, empty tables 0.3."""
RETENTION_DAYS = 30
BROKER_CORES = 2
"""Cores of one broker node that quorum queues of one pipeline keep busy before their leaders must be spread."""


@dataclass(frozen=True)
class Costs:
    """CPU milliseconds of a project of 20 users, by part of the system."""

    by_part: Mapping[str, float]

    @classmethod
    def of(cls, file: Path) -> "Costs":
        """From a run's JSON, which must have W3 of our side."""
        rounds = json.loads(file.read_text())["rounds"]["UCA"]
        measured = sorted((each for each in rounds if "by_service" in each), key=lambda each: each["cpu_ms_per_user"])
        middle = measured[len(measured) // 2]
        shared = {name: middle["cpu_seconds"][name] for name in ("broker", "database")}
        projects = middle["w3_projects"]
        return cls({name: value * 1000 / projects for name, value in (middle["by_service"] | shared).items()})

    def cores(self, part: str, per_minute: float) -> float:
        """Cores that are busy at this rate."""
        return self.by_part[part] * per_minute / 60_000


def replicas(costs: Costs, part: str, per_minute: float) -> int:
    """Processes of one core each, with headroom; two at least, so that one may fail."""
    return max(2, math.ceil(costs.cores(part, per_minute) / HEADROOM))


def plan(costs: Costs, per_minute: float) -> dict[str, float]:
    """What a rate takes."""
    found: dict[str, float] = {part: replicas(costs, part, per_minute) for part in STEPS}
    found["broker nodes"] = max(3, math.ceil(costs.cores("broker", per_minute) / HEADROOM / BROKER_CORES))
    found["database cores"] = max(2, math.ceil(costs.cores("database", per_minute) / HEADROOM))
    found["database GB"] = per_minute * 1440 * RETENTION_DAYS * BYTES_PER_PROJECT / 1e9
    return found


def simulate(costs: Costs, servers: Mapping[str, int], per_minute: float, projects: int = 30_000) -> float:
    """p95 seconds that a project waits in queues and is worked on, with Poisson arrivals and the parts in a row.

    Each part is a queue with that many servers; a service time is the measured one, exponentially spread.
    """
    chance = random.Random(1)
    free = {part: [0.0] * servers[part] for part in STEPS}
    finished = []
    for arrival in _arrivals(chance, per_minute / 60, projects):
        now = arrival
        for part in STEPS:
            begin = max(now, free[part][0])
            now = begin + chance.expovariate(1000 / costs.by_part[part])
            heapq.heapreplace(free[part], now)
        finished.append(now - arrival)
    return sorted(finished)[int(len(finished) * 0.95)]


def _arrivals(chance: random.Random, per_second: float, count: int) -> Iterator[float]:
    now = 0.0
    for _ in range(count):
        now += chance.expovariate(per_second)
        yield now


def main(argument: str | None = None) -> int:
    """Prints the plan for each rate, with the simulation's check of it and of one replica fewer than the load takes."""
    files = sorted(RESULTS.glob("*.json")) if argument is None else [Path(argument)]
    costs = next((Costs.of(file) for file in reversed(files) if _has_w3(file)), None)
    if costs is None:
        print("There is no run with W3 yet: make bench ARGS=w3")
        return 1
    print("CPU ms a project of 20 users: " + ", ".join(f"{k} {v:.2f}" for k, v in costs.by_part.items()), end="\n\n")
    parts = list(plan(costs, RATES[0]))
    print(f"| projects/min | {' | '.join(parts)} | p95 in queues, s | with too few syncers, s |")
    print("|---" * (len(parts) + 3) + "|")
    for rate in RATES:
        needed = plan(costs, rate)
        servers = {part: int(needed[part]) for part in STEPS}
        short = servers | {"user-syncer": max(1, math.floor(0.9 * costs.cores("user-syncer", rate)))}
        cells = [f"{needed[part]:,.0f}" for part in parts]
        waits = (simulate(costs, servers, rate), simulate(costs, short, rate))
        print(f"| {rate:,} | {' | '.join(cells)} | {waits[0]:.3f} | {waits[1]:.3f} |")
    return 0


def _has_w3(file: Path) -> bool:
    rounds = json.loads(file.read_text())["rounds"].get("UCA", [])
    return any("by_service" in each for each in rounds)
