"""`python -m bench`: all workloads; or some by name, such as `python -m bench w1 w3`. QUICK=1 takes shorter runs.

`python -m bench soak` holds a load for half an hour; `python -m bench scaling` computes from a run's figures."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Awaitable
from dataclasses import replace
from pathlib import Path
from typing import Any

import uvloop

from bench import compare, growth, kills, report, scaling, soak, watchers, zcompute
from bench.ground import ROOT, Ground, database, standing
from bench.rivals import VENV, install

FURTHER = ("zcompute", "w4", "w5", "w6")
"""Workloads of our side alone."""
DRAWN = {"kills", "growth", "watchers", "soak"}
"""What of them has a plot."""


def main() -> int:
    """0 where all of it ran; a bar that is missed is printed, not an error."""
    if sys.argv[1:2] == ["scaling"]:
        return scaling.main(*sys.argv[2:3])
    parser = argparse.ArgumentParser("bench", description=__doc__)
    known = (*compare.WORKLOADS, *FURTHER, "soak")
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(known)}; none is all")
    parser.add_argument("--minutes", type=float, default=30, help="length of the soak")
    parser.add_argument("--sides", help=f"by comma, of {', '.join(compare.ALL)}")
    parser.add_argument("--rounds", type=int, help="how often each side has its turn")
    arguments = parser.parse_args()
    if unknown := set(arguments.workloads) - set(known):
        parser.error(f"there is no workload {', '.join(sorted(unknown))}; choose from {', '.join(known)}")
    quick = bool(os.environ.get("QUICK"))
    left_out = {"soak", "zcompute"} if quick else {"soak"}
    wanted = arguments.workloads or [each for each in known if each not in left_out]
    effort = compare.QUICK if quick else compare.FULL
    if arguments.rounds:
        effort = replace(effort, rounds=arguments.rounds)
    names = arguments.sides.split(",") if arguments.sides else compare.ESSENTIAL if quick else compare.ALL
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is ended
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell that puts us behind turns it off
    with standing() as ground:
        file, failed = uvloop.run(_run(ground, names, effort, wanted, quick=quick, minutes=arguments.minutes))
    plot(file)
    return int(failed)


async def _run(
    ground: Ground, names: Any, effort: compare.Effort, wanted: Any, *, quick: bool, minutes: float
) -> tuple[Path, bool]:
    """The run's JSON, and whether a workload of our side failed: the others are told all the same."""
    began = time.monotonic()
    further: dict[str, Any] = {}
    failed: dict[str, str] = {}

    def say(words: str) -> None:
        print(f"{time.monotonic() - began:5.0f} s  {words}", flush=True)

    async def take(name: str, workload: Awaitable[Any]) -> None:
        try:
            further[name] = await workload
        except Exception as failure:  # noqa: BLE001 - half an hour of other figures must not be lost with it
            traceback.print_exc()
            failed[name] = repr(failure)
            say(f"{name} failed")

    about = report.machine(await _versions(ground))
    compared = [each for each in compare.WORKLOADS if each in wanted]
    results = await compare.run(ground, names, effort, compared, say) if compared else {}
    if "zcompute" in wanted:
        await take("zcompute", zcompute.run(ground, effort, say))
    if "w4" in wanted:
        workers, apis, few = (3, 2, 0) if quick else (50, 50, 5)
        await take("kills", kills.run(ground, workers, apis, few, say))
    if "w5" in wanted:
        await take("growth", growth.run(ground, quick=quick, say=say))
    if "w6" in wanted:
        sockets, pollers = (200, 200) if quick else (1000, 200)
        await take("watchers", watchers.run(ground, sockets=sockets, pollers=pollers, say=say))
    if "soak" in wanted:
        await take("soak", soak.run(ground, 0.25 if quick else minutes, say))
    return report.conclude(results, further, about, failed), bool(failed)


async def _versions(ground: Ground) -> dict[str, str]:
    db = await database(ground)
    try:
        postgresql = str(await db.fetchval("SHOW server_version"))
    finally:
        await db.close()
    return {"PostgreSQL": postgresql, "RabbitMQ": ground.broker_version()}


def plot(file: Path) -> None:
    """Draws what a run's JSON has, with the peers' matplotlib; installs it only where there is something to draw."""
    content = json.loads(file.read_text())
    if len(content["figures"]) < 2 and not DRAWN & content["further"].keys():
        return
    install()
    folder = file.parent
    subprocess.run([str(VENV / "bin" / "python"), str(ROOT / "bench" / "plots.py"), str(file), str(folder)], check=True)


if __name__ == "__main__":
    sys.exit(main())
