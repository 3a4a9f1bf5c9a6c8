"""The stack of one run directory: up and down."""

import fcntl
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from local import infrastructure, keystone, processes, readiness, seed, services
from local.endpoints import MissingSettingError
from local.infrastructure import Infrastructure
from local.readiness import Subject
from local.services import API, SERVICES, SIMULATOR, WATCH, Services
from local.supervisor import Program, Supervisor


def run_directory() -> Path:
    """The folder that keeps a stack's files, `.run` unless UCA_RUN_DIR names another."""
    return Path(os.environ.get("UCA_RUN_DIR") or ".run").absolute()


class Stack:
    """What runs in one run directory.

    `environment` may name servers to use instead of private ones, and settings of the services.
    """

    def __init__(self, directory: Path, environment: Mapping[str, str] = os.environ) -> None:
        self.directory = directory
        self.supervisor = Supervisor(directory)
        self.environment = environment

    def up(self, replicas: int = 1, chosen: services.Settings | None = None) -> dict[str, str]:
        """Makes everything run and wait until it serves; what runs already with the same settings stays as it is.

        Args:
            replicas: of each service; what is above the number ends.
            chosen: settings by service, before those of the environment.

        Returns:
            What `.run/env` says.

        Raises:
            MissingProgramError, MissingSettingError: the machine or the environment lacks something.
            UnreadableError: the run directory's ports or passwords are not whole.
            NotReadyError: a process doesn't serve.
            CommandError: the database or the broker could not be prepared.
        """
        with self.locked():
            parts = self.infrastructure()
            ours = self.services(parts, replicas)
            ours.write_regions()
            self._run(parts, ours.programs(self.environment, chosen or {}))
            self._migrate(ours)
            self._start(ours)
            return self._write_environment(ours)

    def start_infrastructure(self) -> Infrastructure:
        """Starts database and broker alone; what runs already stays as it is.

        Raises:
            MissingProgramError, MissingSettingError, NotReadyError: as `up`.
        """
        with self.locked():
            parts = self.infrastructure()
            if self.supervisor.is_running():
                self._check_private(parts)
                parts.start(self.supervisor)
            else:
                self._run(parts, [])
            return parts

    def _check_private(self, parts: Infrastructure) -> None:
        wanted = {"database": parts.endpoints.private_database, "broker": parts.endpoints.private_broker}
        running = {process["name"] for process in self.supervisor.overview()}
        if missing := [name for name, private in wanted.items() if private and name not in running]:
            raise MissingSettingError(
                f"The stack that runs has no private {' or '.join(missing)}: set what `make up` was given"
                " (UCA_DATABASE_URL; UCA_AMQP_URL and UCA_RABBITMQ_API_URL), or end it: make down"
            )

    def migrate(self) -> None:
        """Brings schemas and broker definitions up to date; database and broker are started if need be."""
        parts = self.start_infrastructure()
        self._migrate(self.services(parts, 1))

    def down(self, *, wipe: bool = False) -> None:
        """Ends every process of the stack. Data stays, unless it is to be wiped: then nothing ends gracefully."""
        if not self.directory.exists():
            return
        with self.locked():
            if self.supervisor.is_running():
                if not wipe:
                    self.supervisor.stop(self._above_infrastructure())
                self.supervisor.shut_down(at_once=wipe)
            processes.end(self.directory)
            for pid_file in self.directory.glob("*.pid"):
                pid_file.unlink()
            if wipe:
                infrastructure.wipe(self.directory)
                keystone.wipe(self.directory)
                for name in ("credentials.json", "env"):
                    (self.directory / name).unlink(missing_ok=True)

    def _above_infrastructure(self) -> set[str]:
        return {process["name"] for process in self.supervisor.overview()} - set(infrastructure.PROGRAMS)

    def infrastructure(self) -> Infrastructure:
        """Database and broker as this run directory remembers them; made up at the first call."""
        self.directory.mkdir(parents=True, exist_ok=True)
        in_use = self.supervisor.is_running()
        if not in_use:
            processes.end(self.directory)
        return infrastructure.load(self.directory, self.environment, in_use=in_use)

    def services(self, parts: Infrastructure, replicas: int) -> Services:
        """The services as this run directory remembers them; made up at the first call."""
        return services.load(self.directory, parts.endpoints, replicas, in_use=self.supervisor.is_running())

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lets one command at a time change the stack."""
        self.directory.mkdir(parents=True, exist_ok=True)
        with (self.directory / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield

    def _run(self, parts: Infrastructure, programs: Sequence[Program]) -> None:
        wanted = [*parts.programs(), *programs]
        self.supervisor.configure(wanted)
        for pid_file in self.directory.glob("*.pid"):
            if pid_file.stem not in {"supervisord", *(program.name for program in wanted)}:
                pid_file.unlink()
        parts.start(self.supervisor)

    def _migrate(self, ours: Services) -> None:
        passed_on = {name: self.environment[name] for name in ("RETRY_SCALE",) if name in self.environment}
        log = self.supervisor.log("migrator")
        seed.run([services.executable("migrator")], passed_on | ours.migrator_environment(), log)

    def _start(self, ours: Services) -> None:
        clouds = [SIMULATOR, keystone.PROGRAM] if ours.keystone else [SIMULATOR]
        for name in clouds:
            self.supervisor.start(name)
        self.supervisor.start(WATCH)
        for name in ours.metrics_urls:
            self.supervisor.start(name)
        for name in clouds:
            readiness.wait_listening(ours.ports[name], Subject(self.supervisor, name))
        for name, url in ours.metrics_urls.items():
            self._wait_ready(name, url)
        for number, url in enumerate(ours.api_urls, start=1):
            self._wait_ready(services.instance_name(API, number), url)

    def _wait_ready(self, name: str, origin: str) -> None:
        def ask() -> None:
            httpx.get(f"{origin}/readyz", timeout=5).raise_for_status()

        readiness.wait(ask, (httpx.HTTPError,), Subject(self.supervisor, name))

    def _write_environment(self, ours: Services) -> dict[str, str]:
        api = self.api_environment(ours)
        return seed.write_environment(ours, api, seed.plant(api))

    def api_environment(self, ours: Services) -> dict[str, str]:
        """The environment in which project-api's commands run."""
        return ours.environment(next(service for service in SERVICES if service.name == API), 1, self.environment)
