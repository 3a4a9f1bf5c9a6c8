"""`make faults`: the fault matrix on a stack of its own; exit 1 when a row that ran has failed."""

import argparse
import asyncio
import logging
import sys
import time
from pathlib import Path

from tests.faults import table, trial
from tests.faults.ground import Ground
from tests.faults.matrix import ROWS
from tests.faults.scale import FULL, QUICK, Scale
from tests.faults.trial import Result, Row

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    """Runs the rows asked for, prints the table and keeps it."""
    parser = argparse.ArgumentParser("faults", description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help="the short cut: 100 projects, shorter faults, not each row"
    )
    parser.add_argument("--rows", default="", help="only these, as 4,5")
    parser.add_argument("--unrecorded", action="store_true", help="leave docs/faults.md as it is")
    arguments = parser.parse_args()
    scale = QUICK if arguments.quick else FULL
    asked = {int(number) for number in arguments.rows.split(",") if number}
    chosen = [row for row in ROWS if (row.number in asked if asked else row.quick or not arguments.quick)]
    begin = time.monotonic()
    logging.getLogger("aiormq").setLevel(logging.CRITICAL)  # that connections break is the point here
    results = asyncio.run(_run(chosen, scale))
    ran = {result.row.number: result for result in results}
    shown = [ran.get(row.number) or table.left_out(row) for row in ROWS]
    print(table.text(shown))
    print(f"{len(results)} rows in {time.monotonic() - begin:.0f} s, {scale.name}")
    if not arguments.unrecorded:
        table.record(ROOT / "docs" / "faults.md", results, " ".join(sys.argv[1:]))
    return 1 if any(result.state == "failed" for result in results) else 0


async def _run(rows: list[Row], scale: Scale) -> list[Result]:
    ground = Ground(ROOT / ".run" / f"faults-{scale.name}", scale)
    results = []
    try:
        await ground.open()
        for row in rows:
            print(f"row {row.number}: {row.fault} …", flush=True)
            results.append(await trial.run(row, ground, scale))
            print(results[-1].line(), flush=True)
    finally:
        await ground.close()
    return results


if __name__ == "__main__":
    sys.exit(main())
