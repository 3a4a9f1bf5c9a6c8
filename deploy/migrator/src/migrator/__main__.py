"""`migrator`: the deploy step that prepares database and broker; it may run again at any time."""

import asyncio
import os
import sys
from typing import Any

import asyncpg
import httpx
import structlog
from backbone import migrations, topology
from backbone.logging import configure
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS, WATCHERS

from migrator import broker, database, settings
from migrator.plan import Service, amqp_password

log = structlog.get_logger()


def main() -> int:
    """Prepares all: 0 done, 1 the database or the broker refused, 2 a setting is missing or wrong."""
    configure("migrator", "INFO")
    services = [Service(name) for name in SUBSCRIPTIONS]
    try:
        chosen = settings.load(os.environ, services)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the person who starts it
        return 2
    try:
        _prepare(chosen, services)
    except (OSError, asyncpg.PostgresError) as error:
        _refused("database", error, "DATABASE_URL must be an owner's who may create roles")
        return 1
    except (broker.BrokerError, httpx.TransportError) as error:
        _refused("broker", error, "RABBITMQ_API_URL must be an administrator's")
        return 1
    return 0


def _refused(subject: str, error: Exception, advice: str) -> None:
    log.error(f"{subject}.refused", error=str(error), advice=advice)


def _prepare(chosen: settings.Settings, services: list[Service]) -> None:
    asyncio.run(database.prepare(chosen.database_url, services, chosen.passwords))
    log.info("database.prepared", schemas=[service.schema for service in services])
    for service in services:
        migrations.upgrade(service.schema, chosen.database_url)
        log.info("schema.upgraded", schema=service.schema, revision=migrations.head(service.schema))
    broker.load(chosen.rabbitmq_api_url, _definitions(chosen), chosen.virtual_host)
    log.info("broker.prepared", virtual_host=chosen.virtual_host)


def _definitions(chosen: settings.Settings) -> dict[str, Any]:
    hashes = {name: topology.password_hash(chosen.passwords[amqp_password(name)]) for name in SUBSCRIPTIONS}
    return topology.definitions(
        SUBSCRIPTIONS,
        PUBLICATIONS,
        hashes,
        vhost=chosen.virtual_host,
        watchers=WATCHERS,
        retry_scale=chosen.retry_scale,
    )


if __name__ == "__main__":
    sys.exit(main())
