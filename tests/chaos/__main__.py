"""`make chaos`: rounds of seeded chaos on a stack of its own; exit 1 when something did not hold."""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from tests.chaos import round as one_round
from tests.chaos.scale import SCALE
from tests.faults.ground import Ground

DIRECTORY = Path(__file__).resolve().parents[2] / ".run" / "chaos"


def main() -> int:
    """Runs round after round, each with the next seed, until one does not hold."""
    parser = argparse.ArgumentParser("chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=1, help="of the first round; the next has the next")
    parser.add_argument("--seconds", type=float, default=45, help="for which people ask and things break")
    parser.add_argument("--rounds", type=int, default=1)
    arguments = parser.parse_args()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # that connections break is the point here
    return asyncio.run(_run(range(arguments.seed, arguments.seed + arguments.rounds), arguments.seconds))


async def _run(seeds: range, seconds: float) -> int:
    ground = Ground(DIRECTORY, SCALE)
    try:
        await ground.open()
        for seed in seeds:
            if not await one_round.run(ground, seed, seconds):
                print(f"seed {seed} does not hold; what was asked and the logs are in {DIRECTORY}", flush=True)
                return 1
    finally:
        await ground.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
