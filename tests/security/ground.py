"""The private stack of these tests, reached with each of its users' own rights."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
from local import ports
from local.database import SUPERUSER
from local.infrastructure import Infrastructure
from local.services import Services
from local.stack import Stack
from migrator import plan
from project_api.auth.tokens import Principal, Role, issue

from tests.security import certificates
from tests.security.certificates import Certificates

MARK = "MARKED-SECRET-"
"""What every secret of this stack's cloud begins with."""

UNKNOWN_ADMIN = 2**52
"""An administrator's id that no directory has, so that whatever a test removes, its token stays good."""

SETTINGS = {
    "RETRY_SCALE": "0.1",
    "LOG_LEVEL": "DEBUG",
    "LEASE_SECONDS": "2",
    "SWEEP_SECONDS": "1",
    "TICKET_AFTER": "3",
    "STRAYS_AFTER": "1",
    "HOUSEKEEPING_SECONDS": "1",
}
"""Faults heal in seconds here, and the logs say all that they can."""

TLS = """\
listeners.ssl.1 = 127.0.0.1:{port}
ssl_options.cacertfile = {folder}/authority.pem
ssl_options.certfile = {folder}/server.pem
ssl_options.keyfile = {folder}/server-key.pem
"""


@dataclass(frozen=True)
class Ground:
    """One replica of each service, the broker, the database and the cloud simulator."""

    stack: Stack
    parts: Infrastructure
    services: Services
    values: Mapping[str, str]
    certificates: Certificates
    amqps_port: int

    @classmethod
    def start(cls, stack: Stack) -> "Ground":
        """Starts everything; user-syncer takes its failpoints from a file."""
        armed = {"FAILPOINTS": f"@{failpoints(stack)}", "FAILPOINTS_RECORD": str(record(stack))}
        for left in (failpoints(stack), record(stack)):
            left.unlink(missing_ok=True)
        chosen = {"cloud-simulator": {"SIMULATOR_MARK_SECRETS": MARK}, "user-syncer": armed}
        parts = stack.infrastructure()
        port = ports.allocate(stack.directory / "ports.json", ["amqps"], in_use=True)["amqps"]
        made = _listen_by_tls(parts.broker.folder / "conf.d", stack.directory / "tls", port)
        values = stack.up(1, chosen)
        return cls(stack, stack.infrastructure(), stack.services(parts, 1), values, made, port)

    @property
    def api_url(self) -> str:
        return self.values["UCA_API_URL"]

    def bearer(self, user_id: int = UNKNOWN_ADMIN, role: Role = "admin", tenant_id: int | None = None) -> str:
        """The Authorization header of such a user, good for ten minutes."""
        principal = Principal(user_id, role, tenant_id, f"user{user_id}@uca.test")
        secret = self.services.secrets["jwt"]
        return f"Bearer {issue(principal, secret, issuer='uca-local', audience='uca', seconds=600)}"

    def client(self, authorization: str | None = None) -> httpx.AsyncClient:
        """Speaks with the API, as an administrator unless told otherwise."""
        headers = {"Authorization": authorization or self.bearer()}
        return httpx.AsyncClient(base_url=self.api_url, headers=headers, timeout=30)

    def simulator(self) -> httpx.AsyncClient:
        """Speaks with the cloud simulator's own interface."""
        return httpx.AsyncClient(base_url=self.services.simulator_url, timeout=30)

    # --- rights

    def amqp_url(self, service: str) -> str:
        """The broker as the service's own user."""
        password = self.services.secrets[plan.amqp_password(service)]
        return _as_user(self.parts.endpoints.amqp_url, service, password)

    def database_url(self, role: str) -> str:
        """The database as one of the services' roles."""
        password = self.services.secrets[plan.database_password(role)]
        return _as_user(self.parts.endpoints.database_url, role, password)

    async def superuser(self) -> "asyncpg.Connection[asyncpg.Record]":
        """The private database as the one who may see all of it; the caller closes it."""
        database = self.parts.database
        return await asyncpg.connect(
            host="127.0.0.1",
            port=database.port,
            user=SUPERUSER,
            password=database.superuser_password,
            database=urlsplit(database.url).path[1:],
        )

    # --- faults

    def arm(self, specification: str) -> None:
        """Arms user-syncer's failpoints, from its next passing on; none where it is empty."""
        part = failpoints(self.stack).with_suffix(".part")
        part.write_text(specification)
        part.replace(failpoints(self.stack))

    def hits(self) -> list[str]:
        """The failpoints at which user-syncer has died so far."""
        path = record(self.stack)
        return path.read_text().split() if path.exists() else []


def failpoints(stack: Stack) -> Path:
    """The file that user-syncer's failpoints are read from."""
    return stack.directory / "user-syncer.failpoints"


def record(stack: Stack) -> Path:
    """The file that gets a line for each failpoint that struck."""
    return stack.directory / "user-syncer.hits"


def _listen_by_tls(conf_d: Path, folder: Path, port: int) -> Certificates:
    """Gives the broker a second listener, with certificates that stay as long as its data."""
    conf_d.mkdir(parents=True, exist_ok=True)
    text = TLS.format(port=port, folder=folder)
    if (conf_d / "tls.conf").exists() and (conf_d / "tls.conf").read_text() == text:
        return certificates.made_in(folder)
    (conf_d / "tls.conf").write_text(text)
    return certificates.make(folder)


def _as_user(url: str, user: str, password: str) -> str:
    parts = urlsplit(url)
    address = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(user, safe='')}:{quote(password, safe='')}@{address}").geturl()
