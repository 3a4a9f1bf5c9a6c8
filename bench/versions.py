"""Two commits on one machine, by ratio: `make bench-compare BASE=COMMIT`."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.ground import ROOT

ROUNDS = 3
MOST_WORSE = 1.15
"""A figure that is worse by more than this, and outside both sides' spread, is told as a regression."""
BETTER_LOW = ("w1_p50_ms", "w2_slow_p50_ms", "w2_full_p99_ms", "cpu_ms_per_user", "pss_mb", "messages")
BETTER_HIGH = ("w2_full_per_s", "w3_users_per_s")


def main(base: str) -> int:
    """Takes turns between a clone of the base and this tree; 1 where a figure is clearly worse."""
    with tempfile.TemporaryDirectory(prefix="uca-bench-") as folder:
        other = Path(folder) / "base"
        subprocess.run(["git", "clone", "-q", str(ROOT), str(other)], check=True)
        subprocess.run(["git", "checkout", "-q", base], cwd=other, check=True)
        if not (other / "bench" / "__main__.py").exists():
            print(f"{base} has no benchmark yet; choose a later commit.", file=sys.stderr)
            return 2
        subprocess.run(["sh", "deploy/local/bootstrap.sh"], cwd=other, check=True)
        found: dict[str, list[Mapping[str, Any]]] = {"base": [], "here": []}
        for number in range(ROUNDS):
            turns = [("base", other), ("here", ROOT)]
            for name, root in turns if number % 2 == 0 else turns[::-1]:
                print(f"round {number + 1} of {ROUNDS}: {name}", flush=True)
                found[name].append(_measure(root))
    return _tell(found)


def _measure(root: Path) -> Mapping[str, Any]:
    """One round of our own side in that tree, by that tree's own benchmark."""
    command = [
        str(root / ".venv/bin/python"),
        "-m",
        "bench",
        "w1",
        "w2",
        "w3",
        "messages",
        "--sides",
        "UCA",
        "--rounds",
        "1",
    ]
    subprocess.run(command, cwd=root, check=True, stdout=subprocess.DEVNULL)
    newest = max((root / ".run" / "bench-results").glob("*.json"), key=lambda file: file.stat().st_mtime)
    figures: Mapping[str, Any] = json.loads(newest.read_text())["figures"]["UCA"]
    return {name: each["value"] for name, each in figures.items()}


def _tell(found: Mapping[str, list[Mapping[str, Any]]]) -> int:
    worse = 0
    for name in (*BETTER_LOW, *BETTER_HIGH):
        base, here = ([each[name] for each in found[side] if name in each] for side in ("base", "here"))
        if not base or not here:
            continue
        middle = [sorted(values)[len(values) // 2] for values in (base, here)]
        ratio = middle[1] / middle[0]
        loss = ratio if name in BETTER_LOW else 1 / ratio
        apart = min(here) > max(base) if name in BETTER_LOW else max(here) < min(base)
        verdict = "worse" if loss > MOST_WORSE and apart else "within the spread" if loss > MOST_WORSE else "fine"
        worse += verdict == "worse"
        print(f"{name:<20} {middle[0]:>9.2f} -> {middle[1]:>9.2f}   {ratio:.2f} x   {verdict}")
    return int(worse > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
