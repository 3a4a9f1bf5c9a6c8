"""A private PostgreSQL: own data folder, own port, loopback only."""

import asyncio
import hashlib
import os
import pwd
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from local import credentials, programs

SUPERUSER = "postgres"
OWNER = "uca_owner"
NAME = "uca"

SETTINGS = """
listen_addresses = '127.0.0.1'
max_connections = 300
password_encryption = 'scram-sha-256'
log_min_messages = warning
log_checkpoints = off
log_line_prefix = '%m [%p] %q%u@%d '
"""


@dataclass(frozen=True)
class Database:
    """Where the private instance is and how its owner reaches it.

    `folder` holds the data and the socket; the account that runs PostgreSQL must be able to enter it.
    """

    folder: Path
    port: int
    superuser_password: str
    owner_password: str

    @property
    def url(self) -> str:
        """The owner's URL."""
        return f"postgresql://{OWNER}:{self.owner_password}@127.0.0.1:{self.port}/{NAME}"

    @property
    def data(self) -> Path:
        return self.folder / "database"

    def command(self) -> list[str]:
        """What the supervisor executes; PostgreSQL refuses root, so root becomes its account first."""
        server = [str(programs.postgresql() / "postgres"), "-D", str(self.data), "-p", str(self.port)]
        return [*_as_account(), *server]

    def prepare(self) -> None:
        """Makes the data folder at the first start; a half-made one is made anew."""
        made = self.folder / "made"
        if made.exists():
            return
        initdb = str(programs.postgresql() / "initdb")  # installed first: its package brings the account, too
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True, mode=0o700)
        password = self.folder / "superuser-password"
        credentials.write_private(password, self.superuser_password)
        if account := _account():
            self.folder.parent.chmod(0o755)
            for path in (self.folder, password):
                os.chown(path, account.pw_uid, account.pw_gid)
        options = ["--auth=scram-sha-256", f"--pwfile={password}", f"--username={SUPERUSER}"]
        command = [*_as_account(), initdb, "-D", str(self.data), "--encoding=UTF8", "--locale=C.UTF-8", *options]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=self.folder)
        password.unlink()
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(SETTINGS + f"unix_socket_directories = '{self._socket_folder()}'\n")
        made.touch()

    def open(self) -> None:
        """Makes the owner and the database where they are missing; a running instance is needed.

        Raises:
            OSError, asyncpg.PostgresError: not ready (yet).
        """
        asyncio.run(self._open())

    async def _open(self) -> None:
        connection = await asyncpg.connect(
            host="127.0.0.1", port=self.port, user=SUPERUSER, password=self.superuser_password, timeout=5
        )
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_roles WHERE rolname = $1", OWNER):
                await connection.execute(
                    f"CREATE ROLE {OWNER} LOGIN CREATEDB CREATEROLE PASSWORD '{self.owner_password}'"
                )
            # Tables force row-level security on their owner too; a dump by the owner must have every tenant's rows.
            await connection.execute(f"ALTER ROLE {OWNER} BYPASSRLS")
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", NAME):
                await connection.execute(f"CREATE DATABASE {NAME} OWNER {OWNER}")
        finally:
            await connection.close()

    def _socket_folder(self) -> str:
        """A socket's path may have 107 bytes; a deeper folder goes without one."""
        return str(self.folder) if len(str(self.folder)) < 80 else ""


def folder_for(run_directory: Path) -> Path:
    """The data's place: the run directory, or for root a folder that PostgreSQL's account can enter."""
    if os.geteuid() != 0:
        return run_directory / "postgresql"
    digest = hashlib.sha256(str(run_directory).encode()).hexdigest()[:12]
    return Path("/var/lib/uca-local") / digest


def _account() -> pwd.struct_passwd | None:
    """The account to become, None where this process is not root.

    Raises:
        MissingProgramError: root on a machine without the account that PostgreSQL's packages make.
    """
    if os.geteuid() != 0:
        return None
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        raise programs.MissingProgramError(
            "PostgreSQL does not run as root and this machine has no account postgres: "
            "add one (useradd --system postgres), or run this as another user, or set UCA_DATABASE_URL."
        ) from None


def _as_account() -> list[str]:
    account = _account()
    if account is None:
        return []
    return ["setpriv", f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups", "--"]
