"""A real Keystone of one's own: installed from PyPI into a cached environment, started on a free loopback port.

with running_keystone() as keystone:
    clouds = Clouds({"ks": keystone.region("ks")})

The first use installs (about half a minute) and prepares a database; both are kept under ``.cache/keystone``, so that a
later start takes a few seconds. It needs a checkout of the repository, and uv in the environment that runs this.
"""

import fcntl
import getpass
import grp
import hashlib
import os
import random
import secrets
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
from pydantic import SecretStr

from clouds.regions import Region

_MEMBER = Path(__file__).resolve().parents[2]
LOCK = _MEMBER / "keystone.lock"
CACHE = _MEMBER.parents[1] / ".cache" / "keystone"
MOST_CREDENTIALS = 50
"""Of one user, all projects together; Keystone refuses a further one with a 403."""
_START_WITHIN = 60.0
_PORTS = range(20000, 32768)

_KEYSTONE_CONF = """\
[database]
connection = sqlite:///{home}/keystone.db{options}
sqlite_synchronous = false
[fernet_tokens]
key_repository = {home}/fernet-keys
[fernet_receipts]
key_repository = {home}/fernet-keys
[credential]
key_repository = {home}/credential-keys
user_limit = {most_credentials}
[identity]
password_hash_algorithm = bcrypt
password_hash_rounds = 4
[cache]
enabled = true
backend = dogpile.cache.memory
"""
_GUNICORN_CONF = """\
bind = "127.0.0.1:{port}"
workers = 1
worker_class = "gthread"
threads = {threads}
keepalive = 30
wsgi_app = "keystone.wsgi.api:application"
control_socket_disable = True
"""


@dataclass(frozen=True)
class Keystone:
    """Where it is, who its admin is, and how to run it. ``url`` ends with ``/v3``."""

    home: Path
    url: str
    password: str = field(repr=False)
    venv: Path
    username: str = "admin"
    account: str = "Default"
    scope_project: str = "admin"

    @property
    def command(self) -> list[str]:
        return [str(self.venv / "bin" / "gunicorn")]

    @property
    def environment(self) -> dict[str, str]:
        """Keystone parses the command line, so gunicorn gets its arguments here."""
        return {
            "OS_KEYSTONE_CONFIG_DIR": str(self.home),
            "GUNICORN_CMD_ARGS": f"-c {self.home / 'gunicorn.conf.py'}",
        }

    @property
    def python(self) -> Path:
        """Of the environment that it runs in, which has OpenStack's own client library too."""
        return self.venv / "bin" / "python"

    def entry(self, code: str, **changes: object) -> dict[str, object]:
        """For a regions file: a region that calls it as its admin."""
        own: dict[str, object] = {
            "code": code,
            "name": f"Keystone {code}",
            "provider": "keystone",
            "url": self.url,
            "account": self.account,
            "username": self.username,
            "password_env": "KEYSTONE_PASSWORD",
            "options": {"scope_project": self.scope_project},
        }
        return own | changes

    def region(self, code: str, **changes: object) -> Region:
        """The same, ready to be opened."""
        region = Region.model_validate(self.entry(code, **changes))
        return region.model_copy(update={"password": SecretStr(self.password)})


@contextmanager
def running_keystone(*, threads: int = 1) -> Iterator[Keystone]:
    """Starts one with an empty database, and ends it with the block.

    ``threads=8`` makes SQLite refuse many concurrent writes, which Keystone answers with a 500 that is no JSON: a real
    source of faults. Raises RuntimeError where it cannot be installed or does not start, with what it said last.
    """
    with tempfile.TemporaryDirectory(prefix="keystone-") as folder:
        keystone = settled_keystone(Path(folder) / "home", free_port(), threads=threads)
        process = _start(keystone)
        try:
            _wait_until_up(process, keystone)
            yield keystone
        finally:
            _stop(process)


def settled_keystone(home: Path, port: int, *, threads: int = 1) -> Keystone:
    """One that keeps its data in ``home``, empty at first, to be started by the caller on a loopback port.

    Raises RuntimeError where it cannot be installed.
    """
    prepared = _prepare()
    if not (home / "password").exists():
        shutil.copytree(prepared / "home", home, dirs_exist_ok=True)
    _write_configuration(home, port, threads)
    url = f"http://127.0.0.1:{port}/v3"
    with closing(sqlite3.connect(home / "keystone.db")) as database, database:
        database.execute("UPDATE endpoint SET url = ?", (f"{url}/",))
    return Keystone(home, url, (home / "password").read_text(), prepared / "venv")


def free_port() -> int:
    """A loopback port that nobody listens on now, below those that the kernel hands to clients."""
    for port in random.sample(_PORTS, 50):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError(f"no free port found from {_PORTS.start} to {_PORTS.stop}")


def _prepare() -> Path:
    """The folder with environment and empty database for this lock; made by one process while others wait."""
    key = hashlib.sha256(LOCK.read_bytes() + sys.version.encode()).hexdigest()[:16]
    prepared = CACHE / key
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f"{key}.lock").open("w") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        if not (prepared / "ready").exists():
            shutil.rmtree(prepared, ignore_errors=True)  # half-made by a run that was ended
            _install(prepared / "venv")
            _make_database(prepared / "venv", prepared / "home")
            (prepared / "ready").touch()
    return prepared


def _install(venv: Path) -> None:
    uv = [sys.executable, "-m", "uv"]
    _run([*uv, "venv", "--quiet", "--python", sys.executable, str(venv)])
    python = str(venv / "bin" / "python")
    _run([*uv, "pip", "sync", "--quiet", "--python", python, "--require-hashes", str(LOCK)])


def _make_database(venv: Path, home: Path) -> None:
    home.mkdir(parents=True)
    _write_configuration(home, 0, 1)
    (home / "password").write_text(password := secrets.token_hex(12))
    manage = [str(venv / "bin" / "keystone-manage"), "--config-file", str(home / "keystone.conf")]
    owner = ["--keystone-user", getpass.getuser(), "--keystone-group", grp.getgrgid(os.getgid()).gr_name]
    _run([*manage, "db_sync"])
    _run([*manage, "fernet_setup", *owner])
    _run([*manage, "credential_setup", *owner])
    public = ["--bootstrap-region-id", "RegionOne", "--bootstrap-public-url", "http://127.0.0.1/v3/"]
    _run([*manage, "bootstrap", *public], OS_BOOTSTRAP_PASSWORD=password)


def _write_configuration(home: Path, port: int, threads: int) -> None:
    options = "?timeout=0" if threads > 1 else ""  # seconds to wait for a lock that another thread holds
    (home / "keystone.conf").write_text(
        _KEYSTONE_CONF.format(home=home, most_credentials=MOST_CREDENTIALS, options=options)
    )
    (home / "gunicorn.conf.py").write_text(_GUNICORN_CONF.format(port=port, threads=threads))


def _start(keystone: Keystone) -> subprocess.Popen[bytes]:
    environ = os.environ | keystone.environment
    with (keystone.home / "server.log").open("wb") as log:
        return subprocess.Popen(  # noqa: S603 - our own venv
            keystone.command, env=environ, cwd=keystone.home, stdout=log, stderr=log
        )


def _wait_until_up(process: subprocess.Popen[bytes], keystone: Keystone) -> None:
    deadline = time.monotonic() + _START_WITHIN
    with httpx.Client(trust_env=False) as client:
        while time.monotonic() < deadline and process.poll() is None:
            try:
                if client.get(keystone.url).status_code == 200:
                    return
            except httpx.TransportError:
                time.sleep(0.1)
    said = (keystone.home / "server.log").read_text()[-500:]
    raise RuntimeError(f"Keystone did not start; it said last: {said}")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=5)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _run(command: list[str], **environ: str) -> None:
    done = subprocess.run(  # noqa: S603 - our own commands
        command, env=os.environ | environ, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command[:4])} failed: {(done.stderr or done.stdout)[-500:]}")
