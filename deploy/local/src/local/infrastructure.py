"""Database and broker of a run directory: private instances, or the servers that the environment names."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx

from local import credentials, database, ports, readiness
from local.broker import Broker
from local.database import Database
from local.endpoints import Endpoints, check_rights, choose
from local.readiness import Subject
from local.supervisor import Program, Supervisor

PROGRAMS = "database", "epmd", "broker"
PORTS = "postgresql", "amqp", "rabbitmq-management", "rabbitmq-distribution", "epmd"
CREDENTIALS = "postgresql-superuser", "postgresql-owner", "rabbitmq-administrator"


@dataclass(frozen=True)
class Infrastructure:
    """What the services stand on."""

    database: Database
    broker: Broker
    endpoints: Endpoints

    def programs(self) -> list[Program]:
        """The processes to run for it, in the order of their start."""
        programs = []
        if self.endpoints.private_database:
            self.database.prepare()
            programs.append(Program("database", self.database.command(), stop_signal="INT"))
        if self.endpoints.private_broker:
            self.broker.prepare()
            environment = self.broker.environment()
            programs.append(Program("epmd", self.broker.mapper_command(), environment, stop_seconds=5))
            programs.append(Program("broker", self.broker.command(), environment, stop_seconds=60))
        return programs

    def start(self, supervisor: Supervisor) -> None:
        """Starts the private instances and waits until they serve.

        Raises:
            NotReadyError: one of them doesn't; the message has its log's last lines.
            MissingSettingError: a server that the environment names refuses what it says.
        """
        check_rights(self.endpoints)
        if self.endpoints.private_database:
            supervisor.start("database")
        if self.endpoints.private_broker:
            supervisor.start("epmd")
            readiness.wait_listening(self.broker.epmd_port, Subject(supervisor, "epmd"))
            supervisor.start("broker")
        if self.endpoints.private_database:
            readiness.wait(self.database.open, (OSError, asyncpg.PostgresError), Subject(supervisor, "database"))
        if self.endpoints.private_broker:
            readiness.wait(self.broker.open, (httpx.HTTPError,), Subject(supervisor, "broker"))


def wipe(directory: Path) -> None:
    """Drops the private instances' data; nothing of theirs may run. Asks for no password, which may be what is lost."""
    shutil.rmtree(database.folder_for(directory), ignore_errors=True)
    shutil.rmtree(_broker_folder(directory), ignore_errors=True)


def load(directory: Path, environment: Mapping[str, str], *, in_use: bool) -> Infrastructure:
    """Reads or makes what a run directory remembers of its infrastructure: ports and passwords."""
    secrets_file = directory / "credentials.json"
    if not secrets_file.exists():
        # Data whose passwords are gone can't be opened by anyone: a removed run directory means a fresh start.
        shutil.rmtree(database.folder_for(directory), ignore_errors=True)
    secret = credentials.load(secrets_file, CREDENTIALS)
    port = ports.allocate(directory / "ports.json", PORTS, in_use=in_use)
    private_database = Database(
        folder=database.folder_for(directory),
        port=port["postgresql"],
        superuser_password=secret["postgresql-superuser"],
        owner_password=secret["postgresql-owner"],
    )
    private_broker = Broker(
        folder=_broker_folder(directory),
        amqp_port=port["amqp"],
        management_port=port["rabbitmq-management"],
        distribution_port=port["rabbitmq-distribution"],
        epmd_port=port["epmd"],
        password=secret["rabbitmq-administrator"],
    )
    return Infrastructure(private_database, private_broker, choose(environment, private_database, private_broker))


def _broker_folder(directory: Path) -> Path:
    return directory / "rabbitmq"
