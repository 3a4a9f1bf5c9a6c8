"""`project-api`: serves; `token`, `console-code` and `seed` are for local mode."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop
from backbone import logging
from backbone.away import DatabaseUnavailable
from backbone.database import Database, Transaction
from backbone.runtime import Runtime, build, fail, operate
from backbone.settings import load
from clouds import watch
from clouds.regions import RegionsError, load_regions
from clouds.vault import Vault, VaultError, load_keys

from project_api import seed
from project_api.app import create_app
from project_api.auth.jwks import KeySet
from project_api.handlers import HANDLERS
from project_api.parts import Parts, assemble
from project_api.push import routes as push_routes
from project_api.runs.sweeper import Sweeper
from project_api.settings import Settings
from project_api.warming import Warming
from project_api.web.server import Server, listen

NAME = "project-api"


def main() -> int:
    """The console script: 0 done, 1 refused, 2 a setting is missing or wrong."""
    parser = argparse.ArgumentParser(NAME, description=__doc__)
    commands = parser.add_subparsers(dest="command")
    token = commands.add_parser("token", help="print a local token of a user")
    token.add_argument("--user", type=int, required=True, metavar="ID")
    token.add_argument("--hours", type=float, default=12)
    code = commands.add_parser("console-code", help="print a one-time code that signs a user in to the console")
    code.add_argument("--user", type=int, required=True, metavar="ID")
    commands.add_parser("seed", help="two admins, a tenant and its tenant_admin; prints their ids as JSON")
    return run(parser.parse_args())


def run(arguments: argparse.Namespace) -> int:
    """Carries out one command."""
    settings = load(Settings)
    match arguments.command:
        case "seed":
            return asyncio.run(_over_database(settings, seed.plant))
        case "console-code":
            return asyncio.run(_over_database(settings, lambda tx: seed.console_code(tx, settings, arguments.user)))
        case "token":
            seconds = arguments.hours * 3600
            return asyncio.run(_over_database(settings, lambda tx: seed.token(tx, settings, arguments.user, seconds)))
    logging.configure(NAME, settings.log_level)
    uvloop.run(serve(settings))
    return 0


async def _over_database(settings: Settings, command: Callable[[Transaction], Awaitable[str]]) -> int:
    """Prints what the command answers; its refusal is one line for the person who typed it."""
    database = Database(settings.database_url.get_secret_value(), schema="project_api", source=NAME, pool_size=1)
    try:
        async with database.transaction() as tx:
            words = await command(tx)
    except (seed.Refused, DatabaseUnavailable) as error:
        print(error, file=sys.stderr)  # noqa: T201 - a command-line answer
        return 1
    finally:
        await database.close()
    print(words)  # noqa: T201 - a command-line answer
    return 0


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT: first the listener ends what it has at work, then the consumer and the outbox."""
    runtime = build(NAME, settings)
    async with runtime.stack:
        parts = wire(runtime, settings)
        app = create_app(parts)
        push_routes.start(runtime, app.state.push)
        warming = Warming(app, parts)
        runtime.background("warm-up", warming.look, every=0.2)
        server = Server(app, settings, parts.draining)
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, server.stop)
        async with asyncio.TaskGroup() as group:
            group.create_task(operate(runtime, HANDLERS, {"parts": parts}))
            group.create_task(_listen(server, settings, runtime))


async def _listen(server: Server, settings: Settings, runtime: Runtime) -> None:
    try:
        await server.serve(sockets=[listen(settings)])
    finally:
        runtime.stop()


def wire(runtime: Runtime, settings: Settings) -> Parts:
    """Opens what the service needs and starts its background tasks."""
    try:
        parts = assemble(runtime, settings, load_regions(settings.cloud_regions_file), Vault(load_keys()))
    except RegionsError as error:
        fail(f"setting CLOUD_REGIONS_FILE: {error}")
    except VaultError as error:  # it names its own setting
        fail(f"setting {error}")
    sweeper = Sweeper(runtime.database, settings)
    runtime.background("sweep", sweeper.sweep, every=sweeper.every)
    runtime.background("idempotency-forget", sweeper.forget, every=600)
    runtime.background("changes", parts.changes.run)
    runtime.stack.callback(parts.changes.stop)
    runtime.background("refusals", parts.refusals.look, every=1)
    regions = watch.RegionWatch(parts.clouds, runtime.database.transaction, runtime.instance, reports=False)
    runtime.background("regions", regions.look, every=watch.EVERY)
    if isinstance(parts.keys, KeySet):
        runtime.background("jwks", parts.keys.refresh, every=5)
    return parts


if __name__ == "__main__":
    sys.exit(main())
