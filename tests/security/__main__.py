"""`python -m tests.security [words]`: takes out each control (whose line has one of the words) and sees its test fail.

All of the tests have to pass before, for one that fails anyhow would notice nothing.

To be run in a scratch clone: it edits files, one at a time, and puts them back. Exits 1 where a test didn't notice.
"""

import re
import subprocess
import sys
from pathlib import Path

from tests.security import controls


def main() -> int:
    """Prints the table's lines, each with what came of it."""
    root, words = Path.cwd(), sys.argv[1:]
    table = controls.read()
    chosen = [each for each in table if not words or any(word in each.line for word in words)]
    if _fails(*sorted({each.test for each in chosen})):
        print("Some of these tests fail as it is; make them pass first.")  # noqa: T201 - its output
        return 1
    unnoticed = 0
    for control in chosen:
        with controls.out(control, table, root):
            noticed = _fails(control.test)
        unnoticed += not noticed
        print(f"{control.line} {'failed' if noticed else 'PASSED'} |", flush=True)  # noqa: T201 - its output
    return 1 if unnoticed else 0


def _fails(*tests: str) -> bool:
    """Whether one of the tests failed; a run that could not begin is an error, and no failure."""
    seconds = "280" if any(test.startswith("tests/") for test in tests) else "60"
    command = [sys.executable, "-m", "pytest", *tests, "-x", "-p", "no:cacheprovider", "--timeout", seconds]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    failed = re.search(r"^\d+ failed", done.stdout, re.MULTILINE)
    if done.returncode and not failed:
        raise RuntimeError(f"{tests} did not run:\n{done.stdout[-3000:]}{done.stderr[-3000:]}")
    return failed is not None


if __name__ == "__main__":
    sys.exit(main())
