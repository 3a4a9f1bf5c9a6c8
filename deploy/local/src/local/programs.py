"""Where PostgreSQL and RabbitMQ are on this machine, installed first where that is allowed."""

import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

from local import debian

POSTGRESQL_AT_LEAST = 15
"""Row-level security through views needs `security_invoker`, which came with 15."""

POSTGRESQL_FOLDERS = "/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin"
RABBITMQ_SERVERS = "/usr/lib/rabbitmq/bin/rabbitmq-server", "/opt/rabbitmq/sbin/rabbitmq-server"
"""The plain start scripts. The wrapper in /usr/sbin insists on being root or rabbitmq."""

RABBITMQ_PROGRAMS = "UCA_RABBITMQ_PROGRAMS"
"""A variable that names a folder with rabbitmq-server, rabbitmqctl and epmd of another version than the machine's."""


class MissingProgramError(Exception):
    """A program is neither here nor may it be installed; the message names the ways out."""


def postgresql() -> Path:
    """The folder with initdb and postgres."""
    return _find_or_install("PostgreSQL 15 or newer", _postgresql, "postgresql", "UCA_DATABASE_URL")


def rabbitmq() -> Path:
    """The start script of RabbitMQ."""
    return _find_or_install(
        "RabbitMQ 3.10 or newer", _rabbitmq, "rabbitmq-server", "UCA_AMQP_URL and UCA_RABBITMQ_API_URL"
    )


def epmd() -> str:
    """Erlang's port mapper, which RabbitMQ's package brings along."""
    beside = rabbitmq().with_name("epmd")
    if beside.exists():
        return str(beside)
    found = shutil.which("epmd") or next((str(path) for path in Path("/usr/lib/erlang").glob("erts-*/bin/epmd")), None)
    if found is None:
        raise MissingProgramError("Erlang's epmd is missing although RabbitMQ is here: install erlang-base.")
    return found


def _find_or_install(name: str, find: Callable[[], Path | None], package: str, variables: str) -> Path:
    found = find()
    if found is None and debian.may_install():
        print(f"Installing {package} (no system service is started) …", flush=True)
        try:
            debian.install(package)
        except RuntimeError as error:
            raise MissingProgramError(f"{name} could not be installed: {error}") from error
        found = find()
    if found is None:
        raise MissingProgramError(
            f"{name} is not on this machine. Do one of these, then run the command again:\n"
            f"  - install it, on Debian as root: apt-get install {package}\n"
            f"  - run this command as root on Debian, and it installs the package itself\n"
            f"  - set {variables} to a server of yours"
        )
    return found


def _postgresql() -> Path | None:
    """The newest version in the packages' folders, else the one on PATH.

    The folders come first because a lone postgres on PATH may belong to another installation.
    """
    folders = [path for pattern in POSTGRESQL_FOLDERS for path in Path("/").glob(pattern.lstrip("/"))]
    initdb = shutil.which("initdb")
    folders += [Path(initdb).resolve().parent] if initdb else []
    versions = [(_major(folder / "postgres"), folder) for folder in folders if (folder / "initdb").exists()]
    usable = [(version, folder) for version, folder in versions if version >= POSTGRESQL_AT_LEAST]
    return max(usable, default=(0, None), key=lambda one: one[0])[1]


def _major(postgres: Path) -> int:
    if not postgres.exists():
        return 0
    words = subprocess.run([str(postgres), "--version"], capture_output=True, text=True, check=False).stdout
    found = re.search(r"(\d+)", words)
    return int(found[1]) if found else 0


def _rabbitmq() -> Path | None:
    if folder := os.environ.get(RABBITMQ_PROGRAMS):
        return Path(folder, "rabbitmq-server")
    on_path = shutil.which("rabbitmq-server")
    candidates = [*RABBITMQ_SERVERS, *([on_path] if on_path and on_path != "/usr/sbin/rabbitmq-server" else [])]
    return next((path for path in map(Path, candidates) if path.exists()), None)
