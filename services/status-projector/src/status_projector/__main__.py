"""`status-projector`: folds events into the read model; `status-projector rebuild` folds the whole log again."""

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import backbone.logging
from backbone.database import Database
from backbone.runtime import Runtime, Wiring, fail, run
from backbone.settings import load
from prometheus_client import REGISTRY

from status_projector import estimates, retention
from status_projector.announcing import Announcer
from status_projector.handlers import HANDLERS
from status_projector.rebuild import rebuild
from status_projector.running import Running
from status_projector.settings import Settings

NAME = "status-projector"
REBUILD_TIMEOUT = 120
"""Seconds for one statement of a rebuild, which has a whole batch of projects in it."""


def main() -> None:
    """Serves until SIGTERM, or rebuilds and ends."""
    settings = load(Settings)
    match sys.argv[1:]:
        case []:
            run(NAME, settings, HANDLERS, wire_with(settings))
        case ["rebuild"]:
            backbone.logging.configure(NAME, settings.log_level)
            asyncio.run(rebuild_all(settings))
        case _:
            fail("usage: status-projector [rebuild]")


async def rebuild_all(settings: Settings) -> None:
    """The read model from the log, while a running projector goes on."""
    database = Database(
        settings.database_url.get_secret_value(),
        schema=NAME.replace("-", "_"),
        source=NAME,
        command_timeout=REBUILD_TIMEOUT,
    )
    try:
        await rebuild(database)
    finally:
        await database.close()


def wire_with(settings: Settings) -> Wiring:
    """What the handler asks for, and what goes on beside it."""

    async def wire(runtime: Runtime) -> Mapping[str, Any]:
        announcer, running = Announcer(runtime.publisher, settings.push_limit), Running()
        REGISTRY.register(running)
        runtime.stack.callback(REGISTRY.unregister, running)
        database, often = runtime.database, settings.housekeeping_seconds
        runtime.background("push", announcer.run)
        runtime.background("running", partial(running.look, database, settings), every=often)
        runtime.background(
            "estimates",
            partial(estimates.refresh, database, settings.estimate_runs),
            every=settings.estimate_refresh_seconds,
        )
        runtime.background("retention", partial(retention.forget_removed, database, settings.retention_days), every=60)
        return {"announcer": announcer, "running": running, "slow_seconds": settings.slow_seconds}

    return wire


if __name__ == "__main__":
    main()
