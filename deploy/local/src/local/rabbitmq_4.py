"""`python -m local.rabbitmq_4`: RabbitMQ 4, as Debian 13 ships it, for a machine that has an older one.

Makes a small Debian 13 in `.cache`, once, and prints the folder of programs that run inside it. Named by
UCA_RABBITMQ_PROGRAMS, that folder is used in place of the machine's own RabbitMQ. Nothing of the system changes.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from local import debian

ROOT = Path(".cache/debian-13-rabbitmq")
FOLDER = "usr/lib/rabbitmq/entered"
PROGRAMS = {"rabbitmq-server": "/usr/lib/rabbitmq/bin", "rabbitmqctl": "/usr/lib/rabbitmq/bin", "epmd": "/usr/bin"}

ENTER = """\
#!/bin/sh
# Becomes the program of the same name in that Debian, which sees the run directory in its usual place. What is mounted
# for it is seen by it alone, and gone with it.
root=$(cd "$(dirname "$0")/../../../.." && pwd -P)
exec unshare --mount sh -c '
    for each in /proc /dev "$HOME"; do
        mkdir -p "$0$each" && mount --rbind "$each" "$0$each" || exit 1
    done
    exec chroot "$0" "$@"
' "$root" {program} "$@"
"""


class NotPossible(Exception):
    """This machine cannot make such a root; the message says what it lacks."""


def programs() -> Path:
    """The folder of programs. Raises :class:`NotPossible`."""
    if os.geteuid() != 0:
        raise NotPossible("needs root, to enter a root of its own")
    if not ROOT.exists():
        part = ROOT.with_name(f"{ROOT.name}.part")
        shutil.rmtree(part, ignore_errors=True)
        _debootstrap(part)
        (part / "etc/hosts").write_text("127.0.0.1 localhost\n")
        _write_programs(part / FOLDER)
        part.rename(ROOT)
    return (ROOT / FOLDER).absolute()


def _debootstrap(root: Path) -> None:
    mirror = debian.mirror()
    if mirror is None or not debian.may_install():
        raise NotPossible("needs Debian with a mirror in its apt sources")
    if shutil.which("debootstrap") is None:
        debian.install("debootstrap")
    root.parent.mkdir(parents=True, exist_ok=True)
    words = ["debootstrap", "--variant=minbase", "--include=rabbitmq-server", "trixie", str(root), mirror]
    done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode:
        raise NotPossible("debootstrap failed: " + "\n".join((done.stdout + done.stderr).splitlines()[-3:]))


def _write_programs(folder: Path) -> None:
    folder.mkdir()
    for name, place in PROGRAMS.items():
        (folder / name).write_text(ENTER.format(program=f"{place}/{name}"))
        (folder / name).chmod(0o755)


if __name__ == "__main__":
    try:
        print(programs())
    except NotPossible as lacking:
        sys.exit(f"RabbitMQ 4: {lacking}")
