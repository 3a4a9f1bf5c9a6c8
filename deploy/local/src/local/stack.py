"""The stack of one run directory: up and down."""

import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from local import infrastructure, processes
from local.infrastructure import Infrastructure
from local.supervisor import Supervisor


def run_directory(environment: Mapping[str, str] = os.environ) -> Path:
    """The folder that keeps a stack's files, `.run` unless UCA_RUN_DIR names another."""
    return Path(environment.get("UCA_RUN_DIR") or ".run").absolute()


class Stack:
    """What runs in one run directory."""

    def __init__(self, directory: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.directory = directory
        self.supervisor = Supervisor(directory)
        self._environment = environment

    def start_infrastructure(self) -> Infrastructure:
        """Starts database and broker; what runs already stays as it is.

        Raises:
            MissingProgramError, MissingSettingError: the machine or the environment lacks something.
            NotReadyError: one of them doesn't serve.
        """
        with self.locked():
            parts = self.infrastructure()
            programs = parts.programs()
            if not self.supervisor.is_running():
                self.supervisor.configure(programs)
            parts.start(self.supervisor)
            return parts

    def infrastructure(self) -> Infrastructure:
        """Database and broker as this run directory remembers them; made up at the first call."""
        self.directory.mkdir(parents=True, exist_ok=True)
        in_use = self.supervisor.is_running()
        if not in_use:
            processes.end(self.directory)
        return infrastructure.load(self.directory, self._environment, in_use=in_use)

    def down(self, *, wipe: bool = False) -> None:
        """Ends every process of the stack; data stays unless it is to be wiped, and then nothing needs a graceful end."""
        if not self.directory.exists():
            return
        with self.locked():
            if self.supervisor.is_running():
                self.supervisor.shut_down(at_once=wipe)
            processes.end(self.directory)
            for pid_file in self.directory.glob("*.pid"):
                pid_file.unlink()
            if wipe:
                self._wipe()

    def _wipe(self) -> None:
        self.infrastructure().wipe()
        for name in ("credentials.json", "env"):
            (self.directory / name).unlink(missing_ok=True)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lets one command at a time change the stack."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
