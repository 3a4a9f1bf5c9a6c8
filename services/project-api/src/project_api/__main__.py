"""`project-api`: serves; `token` and `seed` are for local mode."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Mapping
from typing import Any

import structlog
import uvloop
from backbone import logging
from backbone.consumer import Handler
from backbone.runtime import Runtime, build, fail, operate
from backbone.settings import load
from clouds.regions import Region, RegionsError, load_regions
from clouds.vault import Vault, VaultError, load_keys

from project_api.app import create_app
from project_api.jwks import KeySet
from project_api.parts import Parts, assemble
from project_api.server import Server, listen
from project_api.settings import Settings

NAME = "project-api"
HANDLERS: Mapping[type[Any], Handler] = {}

log = structlog.get_logger()


def main() -> int:
    """The console script: 0 done, 1 refused, 2 a setting is missing or wrong."""
    parser = argparse.ArgumentParser(NAME, description=__doc__)
    commands = parser.add_subparsers(dest="command")
    token = commands.add_parser("token", help="print a local token of a user")
    token.add_argument("--user", type=int, required=True, metavar="ID")
    token.add_argument("--hours", type=float, default=12)
    commands.add_parser("seed", help="two admins, a tenant and its tenant_admin; prints their ids as JSON")
    return run(parser.parse_args())


def run(arguments: argparse.Namespace) -> int:
    """Carries out one command."""
    settings = load(Settings)
    logging.configure(NAME, settings.log_level)
    uvloop.run(serve(settings))
    return 0


async def serve(settings: Settings) -> None:
    """Runs until SIGTERM or SIGINT: first the listener ends what it has at work, then the consumer and the outbox."""
    runtime = build(NAME, settings)
    async with runtime.stack:
        parts = wire(runtime, settings)
        server = Server(create_app(parts), settings, parts.draining)
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
    parts = assemble(runtime, settings, _regions(settings), _vault())
    runtime.background("refusals", parts.refusals.look, every=1)
    if isinstance(parts.keys, KeySet):
        runtime.background("jwks", parts.keys.refresh, every=5)
    return parts


def _regions(settings: Settings) -> Mapping[str, Region]:
    try:
        return load_regions(settings.cloud_regions_file)
    except RegionsError as error:
        fail(f"setting CLOUD_REGIONS_FILE: {error}")
        raise


def _vault() -> Vault:
    try:
        return Vault(load_keys())
    except VaultError as error:
        fail(f"setting {error}")
        raise


if __name__ == "__main__":
    sys.exit(main())
