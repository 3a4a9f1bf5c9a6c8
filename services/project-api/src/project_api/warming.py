"""What the first requests after a start would wait for otherwise: connections, statements, routes, the directory.

A new connection costs the login, the driver's look at the database's types, and each statement's preparation; FastAPI
makes the routes' parsers at their first use. So a replica is ready only once all that is done.
"""

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from typing import Any

import structlog
from backbone import statements
from backbone.database import Database
from fastapi import FastAPI
from fastapi.routing import iter_route_contexts

from project_api import projects, status
from project_api.access import Scope
from project_api.auth.tokens import Unauthenticated
from project_api.parts import ENTER, Parts

log = structlog.get_logger()

NAME = "warm-up"
NEEDS = {"database", "migrations"}
CONNECTIONS = 4
"""Of each role; one more is opened when so many requests are in the database at once."""

NOBODY: dict[str, Any] = {"tenant": "", "user": "0", "of_tenant": 0, "viewer": 0}
NO_PROJECT = {"identifier": "", "known": "", "mark": "r"}


class Warming:
    """A condition of readiness, and the work that makes it true."""

    def __init__(self, app: FastAPI, parts: Parts) -> None:
        self._app = app
        self._parts = parts
        self._done = False
        parts.health.require(NAME, lambda: self._done)

    async def look(self) -> None:
        """Warms up once the database can be worked with; to be called until it is done, and harmless afterwards."""
        if self._done or NEEDS & set(self._parts.health.missing()):
            return
        began = time.monotonic()
        await self.warm()
        self._done = True
        log.info("warm_up.done", seconds=round(time.monotonic() - began, 3))

    async def warm(self) -> None:
        """Once through everything that a create and a status need, storing nothing. Raises DatabaseUnavailable."""
        parts = self._parts
        list(iter_route_contexts(self._app.routes))  # which makes them
        await asyncio.gather(
            _connect(parts.database, parts.settings.pool_size, (Scope.ALL, Scope.GUEST)),
            _connect(parts.tenant_database, parts.settings.pool_size, (Scope.TENANT, Scope.MEMBER)),
            parts.directory.people(chosen=[0]),
            parts.beforehand.known(),
            self._verify(),
        )

    async def _verify(self) -> None:
        with suppress(Unauthenticated):  # as it must be: the way there is what is to be warm
            await self._parts.verifier.verify("no.token.at-all")


async def _connect(database: Database, most: int, scopes: tuple[Scope, ...]) -> None:
    """Opens the connections all at once, for one that is given back would be taken again."""
    async with AsyncExitStack() as held:
        opened = [await held.enter_async_context(database.reading()) for _ in range(min(CONNECTIONS, most))]
        for connection in opened:
            await connection.execute(ENTER, NOBODY)
            for scope in scopes:
                await connection.execute(status.READ[scope], NOBODY | NO_PROJECT)
            # Versions that are none fit no directory, so that nothing is written.
            nothing = dict.fromkeys(statements.names(projects.WRITE)) | {"directory_names": []}
            await connection.execute(projects.WRITE, nothing)
