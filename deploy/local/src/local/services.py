"""The simulator and the services: their commands, environments and addresses."""

import importlib
import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

from clouds.testing import Keystone
from contracts.subscriptions import SUBSCRIPTIONS
from migrator import plan

from local import credentials, keystone, ports
from local.endpoints import Endpoints
from local.supervisor import Program

SERVICES = tuple(plan.Service(name) for name in SUBSCRIPTIONS)
SIMULATOR = "cloud-simulator"
WATCH = "broker-watch"
"""Imports the broker's definitions again when something of them is gone."""

API = "project-api"
MOST_REPLICAS = 8
WORKERS_NICENESS = 10
NICENESS = {API: 0, "status-projector": 15}
"""Who goes first where several want the processor: the API, whose answers somebody waits for; then who brings a run
on; and last who tells of it, for what the projector tells of late it tells of together, and that costs less."""

REGIONS = {"region-1": "uca-1", "region-2": "uca-2"}
"""Codes of the local regions, each with its account on the simulator."""

SIMULATOR_USER = "uca-portal"

Settings = Mapping[str, Mapping[str, str]]
"""Settings by service or instance that a caller chooses; they go before what this module would set."""


def instance_name(service: str, number: int) -> str:
    """The first replica is named like its service, the second `<service>.2`, and so on."""
    return service if number == 1 else f"{service}.{number}"


@dataclass(frozen=True)
class Services:
    """What stands on the infrastructure of one run directory."""

    directory: Path
    endpoints: Endpoints
    ports: Mapping[str, int]
    secrets: Mapping[str, str]
    replicas: int
    keystone: Keystone | None = None

    @property
    def simulator_url(self) -> str:
        return self._url(SIMULATOR)

    @property
    def api_urls(self) -> list[str]:
        return [self._url(instance_name(API, number)) for number in self._numbers]

    @property
    def metrics_urls(self) -> dict[str, str]:
        """By instance, the origin that has /metrics, /healthz and /readyz."""
        names = [instance_name(service.name, number) for number in self._numbers for service in SERVICES]
        return {name: self._url(f"{name} metrics") for name in names}

    def programs(self, given: Mapping[str, str], chosen: Settings) -> list[Program]:
        """The processes to run.

        Args:
            given: the caller's environment, of which a service gets what its settings name and this leaves open.
            chosen: settings by service, and before these by instance; they go before all others.
        """
        scale = {name: given[name] for name in ("RETRY_SCALE",) if name in given}
        watch = Program(WATCH, [executable("migrator"), "watch"], scale | self.migrator_environment())
        simulator = self._simulator_environment() | dict(chosen.get(SIMULATOR, {}))
        clouds = [Program(SIMULATOR, [executable(SIMULATOR)], simulator)]
        if self.keystone:
            clouds.append(Program(keystone.PROGRAM, self.keystone.command, self.keystone.environment))
        return [*clouds, watch] + [
            Program(
                instance_name(service.name, number),
                ["nice", "-n", str(NICENESS.get(service.name, WORKERS_NICENESS)), executable(service.name)],
                self.environment(service, number, given)
                | dict(chosen.get(service.name, {}))
                | dict(chosen.get(instance_name(service.name, number), {})),
                stop_seconds=65,  # project-api drains its listener and then its consumer, each for 25 s at most
            )
            for number in self._numbers
            for service in SERVICES
        ]

    def environment(self, service: plan.Service, number: int, given: Mapping[str, str]) -> dict[str, str]:
        """All settings of one replica."""
        fields = importlib.import_module(f"{service.schema}.settings").Settings.model_fields
        named = {name.upper() for name in fields}
        own = self._settings(service, instance_name(service.name, number))
        passed_on = {name: value for name, value in given.items() if name in named}
        secrets = self._cloud_passwords() if "CLOUD_REGIONS_FILE" in named else {}
        return passed_on | {name: value for name, value in own.items() if name in named} | secrets

    def migrator_environment(self) -> dict[str, str]:
        """Everything that `migrator` asks for."""
        passwords = {name: self.secrets[name] for name in plan.password_variables(SERVICES)}
        return passwords | {
            "DATABASE_URL": self.endpoints.database_url,
            "RABBITMQ_API_URL": self.endpoints.rabbitmq_api_url,
            "RABBITMQ_VHOST": self.endpoints.virtual_host,
        }

    def write_regions(self) -> None:
        """Writes the regions file; the passwords stay outside it."""
        common = {"provider": "zadara", "url": self.simulator_url, "username": SIMULATOR_USER, "is_active": True}
        regions: list[dict[str, object]] = [
            {"code": code, "name": code.replace("-", " ").capitalize(), "account": account, **common}
            | {"password_env": "SIMULATOR_PASSWORD"}
            for code, account in REGIONS.items()
        ]
        if self.keystone:
            regions.append(self.keystone.entry(keystone.REGION, name="A real Keystone"))
        self._regions_file.write_text(json.dumps(regions, indent=2) + "\n")

    def _cloud_passwords(self) -> dict[str, str]:
        simulator = {"SIMULATOR_PASSWORD": self.secrets["simulator"]}
        return simulator | ({"KEYSTONE_PASSWORD": self.keystone.password} if self.keystone else {})

    @property
    def _numbers(self) -> range:
        return range(1, self.replicas + 1)

    @property
    def _regions_file(self) -> Path:
        return self.directory / "regions.json"

    def _url(self, port: str) -> str:
        return f"http://127.0.0.1:{self.ports[port]}"

    def _settings(self, service: plan.Service, instance: str) -> dict[str, str]:
        settings = {
            "DATABASE_URL": self._database_url(service.role),
            "AMQP_URL": _as_user(self.endpoints.amqp_url, service.name, self.secrets[plan.amqp_password(service.name)]),
            "METRICS_HOST": "127.0.0.1",
            "METRICS_PORT": str(self.ports[f"{instance} metrics"]),
            "CLOUD_REPLICAS": str(self.replicas),
            "CLOUD_REGIONS_FILE": str(self._regions_file),
            "SEALING_KEYS": f"local:{self.secrets['sealing-key']}",
        }
        return settings | (self._api_settings(service, instance) if service.name == API else {})

    def _api_settings(self, service: plan.Service, instance: str) -> dict[str, str]:
        return {
            "API_HOST": "127.0.0.1",
            "API_PORT": str(self.ports[instance]),
            "TENANT_DATABASE_URL": self._database_url(service.further_roles[0]),
            "JWT_SECRET": self.secrets["jwt"],
            "JWT_ISSUER": "uca-local",
            "JWT_AUDIENCE": "uca",
            "PUSH_KEY": "uca-local",
            "PUSH_SECRET": self.secrets["push"],
        }

    def _database_url(self, role: str) -> str:
        return _as_user(self.endpoints.database_url, role, self.secrets[plan.database_password(role)])

    def _simulator_environment(self) -> dict[str, str]:
        return {
            "SIMULATOR_HOST": "127.0.0.1",
            "SIMULATOR_PORT": str(self.ports[SIMULATOR]),
            "SIMULATOR_USERNAME": SIMULATOR_USER,
            "SIMULATOR_PASSWORD": self.secrets["simulator"],
            "SIMULATOR_ACCOUNTS": ",".join(REGIONS.values()),
        }


def load(directory: Path, endpoints: Endpoints, replicas: int, *, in_use: bool) -> Services:
    """Reads or makes what a run directory remembers of its services: ports and secrets."""
    instances = [instance_name(service.name, number) for number in range(1, replicas + 1) for service in SERVICES]
    apis = [instance_name(API, number) for number in range(1, replicas + 1)]
    names = [SIMULATOR, *apis, *(f"{instance} metrics" for instance in instances)]
    with_keystone = keystone.is_wanted(directory)
    names += [keystone.PROGRAM] if with_keystone else []
    port = ports.allocate(directory / "ports.json", names, in_use=in_use)
    passwords = [*plan.password_variables(SERVICES), "simulator", "jwt", "push", "sealing-key"]
    secret = credentials.load(directory / "credentials.json", passwords)
    cloud = keystone.load(directory, port[keystone.PROGRAM]) if with_keystone else None
    return Services(directory, endpoints, port, secret, replicas, cloud)


def executable(name: str) -> str:
    """A console script of this virtual environment."""
    return str(Path(sys.executable).with_name(name))


def _as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{address}").geturl()
