"""The API against whatever its own description allows and forbids."""

import os
import subprocess
from pathlib import Path

import httpx
from local.services import REGIONS, executable

from tests.security.ground import Ground

SECONDS = int(os.environ.get("FUZZ_SECONDS", "15"))
"""How long it may take; `make test FUZZ_SECONDS=600` looks longer, and each time elsewhere."""

SEED = () if "FUZZ_SECONDS" in os.environ else ("--seed", "1")
CONFIGURATION = Path(__file__).with_name("schemathesis.toml")


def test_the_api_keeps_to_its_description(ground: Ground, tmp_path: Path) -> None:
    """No server error, no answer that is not described, nothing wrong that is taken: all of schemathesis' checks."""
    command = [executable("schemathesis"), "--config-file", str(CONFIGURATION), "run", f"{ground.api_url}/openapi.json"]
    options = ["-H", f"Authorization: {ground.bearer()}", "--checks", "all", "--max-time", str(SECONDS), "--no-color"]
    limits = ["--request-timeout", "70", *SEED]
    try:
        done = subprocess.run([*command, *options, *limits], cwd=tmp_path, capture_output=True, text=True, check=False)
    finally:
        _end_maintenance(ground)
    assert done.returncode == 0, done.stdout[-10_000:] + done.stderr[-2000:]


def _end_maintenance(ground: Ground) -> None:
    """Of whatever region the fuzz has closed by chance, lest the tests behind it wait for a cloud that nobody calls."""
    for region in REGIONS:
        url = f"{ground.api_url}/admin/v1/providers/{region}/maintenance"
        httpx.delete(url, headers={"Authorization": ground.bearer()}, timeout=10).raise_for_status()
