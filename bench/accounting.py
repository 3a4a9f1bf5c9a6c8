"""What processes cost, from /proc: CPU seconds and memory of whole process trees, and what else was busy."""

import os
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

TICK = os.sysconf("SC_CLK_TCK")


def _stat(pid: int) -> tuple[int, float] | None:
    """Parent and CPU seconds, those of reaped children included; None where the process is gone."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return int(fields[1]), sum(map(int, fields[11:15])) / TICK


def tree(roots: Iterable[int]) -> list[int]:
    """The processes and all their descendants."""
    children: defaultdict[int, list[int]] = defaultdict(list)
    for entry in os.listdir("/proc"):
        if entry.isdigit() and (stat := _stat(int(entry))):
            children[stat[0]].append(int(entry))
    found, todo = [], list(roots)
    while todo:
        pid = todo.pop()
        found.append(pid)
        todo += children[pid]
    return found


def cpu_seconds(roots: Iterable[int]) -> float:
    """CPU time that these trees have used so far."""
    return sum(stat[1] for pid in tree(roots) if (stat := _stat(pid)))


def memory_mb(roots: Iterable[int]) -> tuple[float, float]:
    """Resident and proportional memory of these trees, in MB."""
    sizes = {"Rss:": 0, "Pss:": 0}
    for pid in tree(roots):
        try:
            lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError, PermissionError):
            continue  # it ended meanwhile
        for line in lines:
            name, *rest = line.split()
            if name in sizes:
                sizes[name] += int(rest[0])
    return sizes["Rss:"] / 1024, sizes["Pss:"] / 1024


def handles(roots: Iterable[int]) -> int:
    """Open file handles of these trees."""
    return sum(len(os.listdir(f"/proc/{pid}/fd")) for pid in tree(roots) if Path(f"/proc/{pid}/fd").exists())


def busy_seconds() -> tuple[float, float]:
    """CPU time that the machine has spent on anything, and time that its host took away from it."""
    ticks = list(map(int, Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]))
    return (sum(ticks) - ticks[3] - ticks[4]) / TICK, ticks[7] / TICK


@dataclass(frozen=True)
class Snapshot:
    """CPU seconds so far: of each group of process trees, of this process, and of the whole machine."""

    groups: dict[str, float]
    driver: float
    busy: float
    stolen: float

    @classmethod
    def take(cls, groups: dict[str, list[int]]) -> "Snapshot":
        busy, stolen = busy_seconds()
        used = os.times()
        return cls({name: cpu_seconds(pids) for name, pids in groups.items()}, used.user + used.system, busy, stolen)

    def until(self, later: "Snapshot") -> dict[str, float]:
        """What was used between the two; `others` is the machine's use that is none of ours: noise."""
        used = {name: later.groups[name] - before for name, before in self.groups.items()}
        used["driver"] = later.driver - self.driver
        used["others"] = max(0.0, later.busy - self.busy - sum(used.values()))
        used["stolen"] = later.stolen - self.stolen
        return used
