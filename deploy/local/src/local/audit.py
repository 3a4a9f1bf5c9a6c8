"""`python -m local.audit`: known vulnerabilities of what requirements.lock pins.

A finding fails until it is gone: by a newer version (`make lock UPGRADE=1`), or where there is none, by an entry in
`accepted_advisories.toml` that says why it cannot harm here, and until when that is believed.
The advisories come from the package index. A machine that cannot read them there is told so and passes.
"""

import json
import subprocess
import sys
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

ACCEPTED = Path(__file__).with_name("accepted_advisories.toml")


@dataclass(frozen=True)
class Accepted:
    """An advisory that somebody has looked into: it does no harm here for this reason, believed until that day."""

    id: str
    reason: str
    until: date


def main() -> int:
    """Exits 1 when a pinned package has a known vulnerability that is not accepted, naming each."""
    command = [str(Path(sys.executable).with_name("pip-audit")), "-r", "requirements.lock", "-f", "json"]
    options = ["--disable-pip", "--require-hashes", "--progress-spinner", "off"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    try:
        dependencies = json.loads(done.stdout)["dependencies"]
    except ValueError:
        last = (done.stderr.strip().splitlines() or ["no answer"])[-1]
        print(f"Vulnerabilities: not checked, the advisories cannot be read here ({last})")
        return 0
    return report(dependencies, read_accepted(ACCEPTED.read_text()), datetime.now(UTC).date())


def read_accepted(text: str) -> list[Accepted]:
    """The entries of the file. Raises TypeError for one that lacks a word or has one too many."""
    return [Accepted(**entry) for entry in tomllib.loads(text).get("advisory", [])]


def report(dependencies: Sequence[Mapping[str, Any]], accepted: Sequence[Accepted], today: date) -> int:
    """Says what was found; 1 when there is a vulnerability that is not accepted, or not any more."""
    good = {each.id: each for each in accepted if each.until >= today}
    skipped = [one for one in dependencies if "skip_reason" in one]
    found = [(one, {each["id"], *each.get("aliases", ())}) for one in dependencies for each in one.get("vulns", [])]
    open_ = [(one, names) for one, names in found if not names & good.keys()]
    for one, names in open_:
        print(f"{one['name']} {one['version']}: {', '.join(sorted(names))}")
    for name in sorted(good.keys() - {name for _, names in found for name in names}) if not skipped else ():
        print(f"{name}: accepted, and found no more; take it out of {ACCEPTED.name}")
    told = f", {len(found) - len(open_)} accepted" if found else ""
    unread = f", {len(skipped)} not checked (no advisories to be read here)" if skipped else ""
    print(f"Vulnerabilities: {len(open_)} in {len(dependencies) - len(skipped)} packages{told}{unread}")
    return 1 if open_ else 0


if __name__ == "__main__":
    sys.exit(main())
