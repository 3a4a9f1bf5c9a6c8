"""What a run says: the table of all sides, the bars, and the raw figures as JSON."""

import json
import os
import platform
import subprocess
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from bench.bars import US, beside, judge
from bench.figures import MOST_OTHERS, MOST_SPREAD, Figure, Figures, figures_of, noise
from bench.ground import ROOT
from bench.workloads import IDEAL_MS

RESULTS = ROOT / ".run" / "bench-results"

COLUMNS = {
    "W1 p50 ms (over ideal)": ("w1_p50_ms", 0),
    "W2 6/s p50 ms": ("w2_slow_p50_ms", 1),
    "p99": ("w2_slow_p99_ms", 1),
    "W2 full req/s": ("w2_full_per_s", 0),
    "p99 ms": ("w2_full_p99_ms", 0),
    "W3 users/s": ("w3_users_per_s", 0),
    "CPU ms a user": ("cpu_ms_per_user", 2),
    "PSS MB": ("pss_mb", 0),
    "messages": ("messages", 0),
}


def machine(servers: Mapping[str, str]) -> dict[str, Any]:
    """What ran where, for whoever compares."""
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    model = next(
        (line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine()
    )
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    ).stdout.strip()
    packages = ("aio-pika", "asyncpg", "fastapi", "sqlalchemy", "pydantic", "uvicorn", "uvloop")
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "commit": commit,
        "cpu": model,
        "cores": os.cpu_count(),
        "python": platform.python_version(),
        "kernel": platform.release(),
        **servers,
        **{name: version(name) for name in packages},
    }


def table(sides: Mapping[str, Figures]) -> str:
    """All sides in Markdown; a figure is the median over rounds, its extremes in brackets where there are several."""
    lines = [f"| | {' | '.join(COLUMNS)} |", "|---" * (len(COLUMNS) + 1) + "|"]
    for name, figures in sides.items():
        cells = [_cell(figures, key, digits) for key, digits in COLUMNS.values()]
        lines.append(f"| {f'**{name}**' if name == US else name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _cell(figures: Figures, key: str, digits: int) -> str:
    figure = figures.get(key)
    if figure is None:
        return "-"
    words = f"{figure.value:.{digits}f}"
    if key == "w1_p50_ms":
        words += f" (+{figures['w1_over_ms'].value:.0f})"
    if figure.rounds > 1:
        words += f" [{figure.least:.{digits}f}–{figure.most:.{digits}f}]"
    return words


def doubts(results: Mapping[str, Sequence[Mapping[str, Any]]], sides: Mapping[str, Figures]) -> list[str]:
    """Why figures cannot be trusted, side by side; empty where they can."""
    found = []
    for name, rounds in results.items():
        if (share := noise(rounds, os.cpu_count() or 1)) > MOST_OTHERS:
            found.append(f"{name} cannot be trusted: too noisy, other programs used {share:.0%} of the machine")
        wide = [key for key in _STEADY if (each := sides[name].get(key)) and each.spread > MOST_SPREAD]
        if wide:
            found.append(
                f"{name} cannot be trusted: too noisy, rounds differ by over {MOST_SPREAD:.0%} in {', '.join(wide)}"
            )
        found += [f"{name} failed: {each['failed']}" for each in rounds if "failed" in each]
    return found


def _doubts_beside(further: Mapping[str, Any]) -> list[str]:
    if (found := further.get("zcompute")) is None:
        return []
    name = "UCA, zCompute way"
    return doubts({name: found["rounds"]}, {name: figures_of(found["rounds"], found["ideal_ms"])})


_STEADY = ("w1_p50_ms", "w2_full_per_s", "w3_users_per_s", "cpu_ms_per_user")


def conclude(
    results: Mapping[str, Sequence[Mapping[str, Any]]],
    further: Mapping[str, Any],
    about: Mapping[str, Any],
    failed: Mapping[str, str],
) -> Path:
    """Prints table, doubts and bars, and writes all of it as JSON; returns that file.

    ``failed`` says by workload why there are no figures of it.
    """
    sides = {name: figures_of(rounds, IDEAL_MS) for name, rounds in results.items()}
    verdicts = judge(sides, further)
    print(f"\n{about['date']}, {about['cores']} cores, commit {about['commit']}\n")
    if sides:
        print(table(sides), end="\n\n")
    broken = [f"{name} failed: {why}" for name, why in failed.items()]
    for line in doubts(results, sides) + _doubts_beside(further) + broken:
        print(line)
    print()
    for verdict in verdicts:
        print(verdict)
    told = beside(further)
    print("", *told, sep="\n")
    RESULTS.mkdir(parents=True, exist_ok=True)
    file = RESULTS / f"{about['date'].replace(':', '')}.json"
    content = {
        "machine": about,
        "figures": {name: {key: vars(figure) for key, figure in found.items()} for name, found in sides.items()},
        "bars": [vars(verdict) for verdict in verdicts],
        "beside": told,
        "further": further,
        "failed": failed,
        "rounds": results,
    }
    file.write_text(json.dumps(content, indent=1, default=str))
    print(f"\nraw figures: {file.relative_to(ROOT)}")
    return file


__all__ = ["Figure", "conclude", "machine", "table"]
