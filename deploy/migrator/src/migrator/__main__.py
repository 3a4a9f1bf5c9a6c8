"""`migrator`: the deploy step that prepares database and broker; it may run again at any time.

`migrator watch` stays, and imports the broker's definitions again whenever something of them is gone: no service has
the right to make a queue, so one that a person deleted, or a broker that lost its data, is put right from here.
"""

import argparse
import asyncio
import os
import signal
import sys
import time
from typing import Any, NoReturn

import asyncpg
import httpx
import structlog
from backbone import migrations, topology
from backbone.logging import configure
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS, WATCHERS

from migrator import broker, database, settings
from migrator.plan import Service, amqp_password

log = structlog.get_logger()

WATCH_SECONDS = 5.0


def main() -> int:
    """Prepares all, or watches: 0 done, 1 the database or the broker refused, 2 a setting is missing or wrong."""
    parser = argparse.ArgumentParser("migrator", description=__doc__)
    parser.add_argument("command", nargs="?", choices=["watch"], help="keep the broker's definitions in place")
    command = parser.parse_args().command
    configure("migrator", "INFO")
    services = [Service(name) for name in SUBSCRIPTIONS]
    try:
        chosen = settings.load(os.environ, services)
    except settings.SettingsError as error:
        print(error, file=sys.stderr)  # noqa: T201 - for the person who starts it
        return 2
    if command == "watch":
        _watch(chosen)
    try:
        _prepare(chosen, services)
    except (OSError, asyncpg.PostgresError, database.RoleTaken) as error:
        _refused("database", error, "DATABASE_URL must be an owner's who may create roles, on a server of its own")
        return 1
    except (broker.BrokerError, httpx.TransportError) as error:
        _refused("broker", error, "RABBITMQ_API_URL must be an administrator's, of a broker of its own")
        return 1
    return 0


def _watch(chosen: settings.Settings) -> NoReturn:
    # In a container this is process 1, which ignores a signal that it has no handler for.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    definitions = _definitions(chosen)
    while True:
        try:
            if gone := broker.missing(chosen.rabbitmq_api_url, definitions, chosen.virtual_host):
                log.error("broker.topology_missing", missing=gone)
                broker.load(chosen.rabbitmq_api_url, definitions, chosen.virtual_host)
                log.info("broker.prepared", virtual_host=chosen.virtual_host)
        except (broker.BrokerError, httpx.TransportError) as error:
            # It may be down or starting: its state is looked at again, for as long as this runs.
            log.warning("broker.not_watched", error=str(error))
        time.sleep(WATCH_SECONDS)


def _refused(subject: str, error: Exception, advice: str) -> None:
    log.error(f"{subject}.refused", error=str(error), advice=advice)


def _prepare(chosen: settings.Settings, services: list[Service]) -> None:
    asyncio.run(database.prepare(chosen.database_url, services, chosen.passwords))
    log.info("database.prepared", schemas=[service.schema for service in services])
    for service in services:
        migrations.upgrade(service.schema, chosen.database_url)
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
