"""The database and the broker of a stack: yours, where the environment names them, else private ones."""

import asyncio
import socket
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

import asyncpg
import httpx
from backbone.settings import check_url

from local.broker import Broker
from local.database import Database


class MissingSettingError(Exception):
    """The environment lacks something, or has it wrong; the message names it."""


SCHEMES = {
    "UCA_DATABASE_URL": ("postgresql", "postgres"),
    "UCA_AMQP_URL": ("amqp", "amqps"),
    "UCA_RABBITMQ_API_URL": ("http", "https"),
}

RIGHTS = (
    "SELECT current_setting('server_version_num')::integer >= 150000, rolsuper OR rolcreaterole,"
    " rolsuper OR rolbypassrls, pg_has_role(datdba, 'USAGE')"
    " FROM pg_roles, pg_database WHERE rolname = current_user AND datname = current_database()"
)
NEEDED = (
    "PostgreSQL must be 15 or newer",
    "its user must be a superuser or have CREATEROLE",
    "its user must be a superuser or have BYPASSRLS",
    "its user must own the database",
)


@dataclass(frozen=True)
class Endpoints:
    """URLs that reach database and broker as their owner and administrator, and whether they are private ones."""

    database_url: str
    amqp_url: str
    rabbitmq_api_url: str
    private_database: bool
    private_broker: bool

    @property
    def virtual_host(self) -> str:
        return unquote(urlsplit(self.amqp_url).path[1:]) or "/"


def choose(environment: Mapping[str, str], database: Database, broker: Broker) -> Endpoints:
    """Takes the environment's servers where it names them.

    A stack's own `.run/env` read into the shell names its private servers, which stay private then.

    Raises:
        MissingSettingError: one of the broker's two URLs is missing, or a URL is wrong.
    """
    for name, schemes in SCHEMES.items():
        try:
            if url := environment.get(name):
                check_url(url, *schemes)
        except ValueError as error:
            raise MissingSettingError(f"{name}: {error}") from error
    database_url = environment.get("UCA_DATABASE_URL") or database.url
    amqp_url = environment.get("UCA_AMQP_URL") or broker.url
    api_url = environment.get("UCA_RABBITMQ_API_URL") or broker.api_url
    private_broker = amqp_url == broker.url
    if private_broker != (api_url == broker.api_url):
        named, missing = "UCA_AMQP_URL", "UCA_RABBITMQ_API_URL"
        if private_broker:
            named, missing = missing, named
        example = (
            "http://user:password@host:15672" if missing.endswith("API_URL") else "amqp://user:password@host/vhost"
        )
        raise MissingSettingError(f"{named} is set but {missing} is not: set it to the same broker's, as {example}")
    return Endpoints(database_url, amqp_url, api_url, database_url == database.url, private_broker)


def check_rights(endpoints: Endpoints) -> None:
    """Asks servers of yours for all that `up` needs of them, before it changes anything there.

    Raises:
        MissingSettingError: a server cannot be reached, refuses a URL's user or password, or that user lacks a right.
    """
    if not endpoints.private_database:
        try:
            lacking = asyncio.run(_lacking(endpoints.database_url))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise MissingSettingError(f"UCA_DATABASE_URL: {str(error) or type(error).__name__}") from error
        if lacking:
            raise MissingSettingError(f"UCA_DATABASE_URL: {', '.join(lacking)}")
    if not endpoints.private_broker:
        _check_management(endpoints)
        _check_login(endpoints)


def _check_management(endpoints: Endpoints) -> None:
    """Definitions are imported through the management interface, which only an administrator may."""
    answer = _who_am_i(endpoints)
    if answer.is_error:
        words = "refuses its user and password" if answer.status_code == 401 else "has no management interface there"
        raise MissingSettingError(f"UCA_RABBITMQ_API_URL: the broker {words} ({answer.status_code})")
    if "administrator" not in _tags(answer):
        raise MissingSettingError("UCA_RABBITMQ_API_URL: its user must have the tag administrator")


def _check_login(endpoints: Endpoints) -> None:
    """The services log in with users of their own, so nothing else would miss this one's password or port."""
    parts = urlsplit(endpoints.amqp_url)
    answer = _who_am_i(endpoints, (unquote(parts.username or "guest"), unquote(parts.password or "guest")))
    if answer.is_error and "Not management user" not in answer.text:
        raise MissingSettingError(f"UCA_AMQP_URL: the broker refuses its user and password ({answer.status_code})")
    address = parts.hostname or "localhost", parts.port or (5671 if parts.scheme == "amqps" else 5672)
    try:
        socket.create_connection(address, timeout=10).close()
    except OSError as error:
        raise MissingSettingError(f"UCA_AMQP_URL: {error}") from error


def _who_am_i(endpoints: Endpoints, login: tuple[str, str] | None = None) -> httpx.Response:
    """The management interface's answer to this login, or to that of its own URL."""
    try:
        return httpx.get(f"{endpoints.rabbitmq_api_url.rstrip('/')}/api/whoami", auth=login, timeout=10)
    except httpx.HTTPError as error:
        raise MissingSettingError(f"UCA_RABBITMQ_API_URL: {error}") from error


def _tags(answer: httpx.Response) -> Collection[str]:
    """Nothing of what is no management interface."""
    try:
        tags: Collection[str] = answer.json()["tags"]
    except (ValueError, TypeError, KeyError):
        return ()
    return tags


async def _lacking(url: str) -> list[str]:
    """What keeps the migrator from its work, or a dump by this owner from every tenant's rows."""
    owner = await asyncpg.connect(url, timeout=10)
    try:
        found = await owner.fetchrow(RIGHTS)
    finally:
        await owner.close()
    return [words for words, holds in zip(NEEDED, found or (), strict=True) if not holds]
