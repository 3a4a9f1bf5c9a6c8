"""The fault matrix in its short cut; `make faults` runs it whole."""

import subprocess
import sys

import pytest


@pytest.mark.timeout(900)
def test_nothing_is_lost_doubled_or_stuck_after_any_fault(pytestconfig: pytest.Config) -> None:
    """Each row of the short cut passes; the table is in the message where one does not."""
    command = [sys.executable, "-m", "tests.faults", "--quick", "--unrecorded"]
    done = subprocess.run(command, cwd=pytestconfig.rootpath, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
