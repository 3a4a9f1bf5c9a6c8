"""`python -m local.audit`: known vulnerabilities of what requirements.lock pins.

The advisories come from PyPI. A machine that cannot read them there is told so and passes.
"""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main() -> int:
    """Exits 1 when a pinned package has a known vulnerability, naming each."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "-r", "requirements.lock", "-f", "json"]
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"Vulnerabilities: not checked, the advisories cannot be read here ({last})")
        return 0
    return report(dependencies)


def report(dependencies: Sequence[Mapping[str, Any]]) -> int:
    """Says what was found; 1 when there is a vulnerability."""
    skipped = [one for one in dependencies if "skip_reason" in one]
    found = [(one, each["id"]) for one in dependencies for each in one.get("vulns", [])]
    for one, advisory in found:
        print(f"{one['name']} {one['version']}: {advisory}")
    unread = f", {len(skipped)} not checked (no advisories to be read here)" if skipped else ""
    print(f"Vulnerabilities: {len(found)} in {len(dependencies) - len(skipped)} packages{unread}")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
