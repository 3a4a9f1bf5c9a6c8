"""The database and the broker of a stack: yours, where the environment names them, else private ones."""

import asyncio
from collections.abc import Mapping
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
    """Asks servers of yours for what nothing else would miss before a test or a dump does.

    Raises:
        MissingSettingError: a URL's user or password is refused, or the owner lacks a right.
    """
    if not endpoints.private_database:
        try:
            sees_all = asyncio.run(_sees_all(endpoints.database_url))
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
            raise MissingSettingError(f"UCA_DATABASE_URL: {error}") from error
        if not sees_all:
            raise MissingSettingError("UCA_DATABASE_URL: its user must be a superuser or have BYPASSRLS")
    if not endpoints.private_broker:
        parts = urlsplit(endpoints.amqp_url)
        login = unquote(parts.username or "guest"), unquote(parts.password or "guest")
        try:
            answer = httpx.get(f"{endpoints.rabbitmq_api_url.rstrip('/')}/api/whoami", auth=login, timeout=10)
        except httpx.HTTPError as error:
            raise MissingSettingError(f"UCA_RABBITMQ_API_URL: {error}") from error
        if answer.is_error and "Not management user" not in answer.text:
            raise MissingSettingError(f"UCA_AMQP_URL: the broker refuses its user and password ({answer.status_code})")


async def _sees_all(url: str) -> bool:
    owner = await asyncpg.connect(url, timeout=10)
    try:
        asked = "SELECT rolbypassrls OR rolsuper FROM pg_roles WHERE rolname = current_user"
        return bool(await owner.fetchval(asked))
    finally:
        await owner.close()
