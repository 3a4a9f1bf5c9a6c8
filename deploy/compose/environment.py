"""`make compose-env`: makes the secrets that compose.yaml asks for, each once; a second run adds what is missing.

It also lets everyone read what compose.yaml mounts (no secret among it): the containers' users don't own the clone.
"""

import base64
import re
import secrets
import sys
from pathlib import Path

from local import credentials

COMPOSE = Path(__file__).parents[1] / "compose.yaml"


def main(path: Path) -> None:
    """Writes the file, readable by its owner only. A sealing key comes with its id, as the services want it."""
    kept = dict(line.split("=", 1) for line in path.read_text().splitlines() if "=" in line) if path.exists() else {}
    asked = re.findall(r"\$\{(\w+(?:_PASSWORD|_SECRET|_KEYS))\b", COMPOSE.read_text())
    for name in dict.fromkeys(asked):
        if name not in kept:
            key = base64.b64encode(secrets.token_bytes(32)).decode()
            kept[name] = f"compose:{key}" if name == "SEALING_KEYS" else secrets.token_urlsafe(32)
    credentials.write_private(path, "".join(f"{name}={value}\n" for name, value in sorted(kept.items())))


def let_read() -> None:
    """A clone under a strict umask is its owner's alone; broker, Prometheus and services could not start on that."""
    for mounted in re.findall(r"(\./[\w./-]+):/\S+:ro\b", COMPOSE.read_text()):
        top = COMPOSE.parent / mounted
        for path in (top, *top.rglob("*")):
            mode = path.stat().st_mode
            asked = mode | (0o055 if path.is_dir() else 0o044)
            if asked != mode:
                path.chmod(asked)


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else COMPOSE.with_name(".env"))
    let_read()
