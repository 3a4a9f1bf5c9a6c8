"""What the routes work with, and what one caller may reach of it."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Annotated

from backbone import tracing
from backbone.database import Connection, Database, Transaction
from backbone.health import Health
from backbone.runtime import Runtime
from clouds import metrics
from clouds.providers import Clouds
from clouds.regions import Region
from clouds.vault import Vault
from fastapi import Depends, Request
from pydantic import SecretStr

from project_api.auth import jwks
from project_api.auth.jwks import KeySet
from project_api.auth.refusals import Refusals
from project_api.auth.tokens import Principal, SharedSecret, Verifier
from project_api.beforehand import Beforehand
from project_api.changes import Changes
from project_api.directory.people import Directory
from project_api.settings import Settings
from project_api.web.limits import InFlight

ENTER = "SELECT set_config('uca.tenant', :tenant, true), set_config('uca.user', :user, true)"


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything that is made once. ``database`` sees all tenants; ``tenant_database`` one, the one that is set."""

    settings: Settings
    database: Database
    tenant_database: Database
    directory: Directory
    beforehand: Beforehand
    keys: SharedSecret | KeySet
    refusals: Refusals
    verifier: Verifier
    vault: Vault
    changes: Changes
    health: Health
    in_flight: InFlight
    draining: asyncio.Event
    """Set at SIGTERM: who waits for news answers now."""
    regions: Mapping[str, Region]
    clouds: Clouds
    """Only read from: for verify and the preview."""


def assemble(runtime: Runtime, settings: Settings, regions: Mapping[str, Region], vault: Vault) -> Parts:
    """The parts over a service's runtime; nothing is connected yet. Raises RegionsError for an unknown provider."""
    tenant_database = _open(runtime, settings, settings.tenant_database_url, settings.pool_size)
    directory_database = _open(runtime, settings, settings.database_url, 1)
    keys = _keys(runtime, settings)
    refusals = Refusals(runtime.database)
    clouds = Clouds(regions)
    if tracing.called not in metrics.observers:  # tests make many parts in one process
        metrics.observers.append(tracing.called)
    runtime.stack.push_async_callback(clouds.aclose)
    return Parts(
        settings=settings,
        database=runtime.database,
        tenant_database=tenant_database,
        directory=Directory(directory_database, timeout=settings.command_timeout),
        beforehand=Beforehand(runtime.database),
        keys=keys,
        refusals=refusals,
        verifier=Verifier(keys, issuer=settings.jwt_issuer, audience=settings.jwt_audience, refuses=refusals.refuses),
        vault=vault,
        changes=Changes(settings.amqp_url.get_secret_value(), service=runtime.name, instance=runtime.instance),
        health=runtime.health,
        regions=regions,
        clouds=clouds,
        in_flight=InFlight(settings.max_in_flight),
        draining=asyncio.Event(),
    )


def _open(runtime: Runtime, settings: Settings, url: SecretStr, pool_size: int) -> Database:
    database = Database(
        url.get_secret_value(),
        schema=runtime.database.schema,
        source=runtime.name,
        pool_size=pool_size,
        command_timeout=settings.command_timeout,
        on_commit=runtime.relay.offer,
    )
    runtime.stack.push_async_callback(database.close)
    return database


def _keys(runtime: Runtime, settings: Settings) -> SharedSecret | KeySet:
    if settings.jwt_secret is not None:
        return SharedSecret(settings.jwt_secret.get_secret_value())
    assert settings.jwks_url is not None  # noqa: S101 - one of the two is set, as the settings have checked
    client = jwks.client()
    runtime.stack.push_async_callback(client.aclose)
    keys = KeySet(settings.jwks_url, client)
    runtime.health.require("token keys", keys.fetched)
    return keys


@dataclass(frozen=True, slots=True)
class Caller:
    """One request's principal and the database as far as they may see it.

    A tenant's people are held by row-level security to their tenant, and to what has none and names them. Admins see
    all tenants; who has no tenant has none to be held to, so of them only the WHERE of each statement (access.py) keeps
    what is others'.
    """

    principal: Principal
    parts: Parts

    @property
    def confined(self) -> bool:
        """Whether the database itself holds them to one tenant."""
        return not self.principal.is_admin and self.principal.tenant_id is not None

    @property
    def database(self) -> Database:
        """For single statements; the confined one's must enter the tenant themselves (``settings``)."""
        return self.parts.tenant_database if self.confined else self.parts.database

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end, with all that was emitted."""
        async with self.database.transaction() as tx:
            if self.confined:
                await tx.execute(ENTER, self.settings)
            yield tx

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """A connection for reading; nothing is committed."""
        async with self.database.reading(together=self.confined) as connection:
            if self.confined:
                await connection.execute(ENTER, self.settings)
            yield connection

    @property
    def settings(self) -> dict[str, str]:
        """What the database's row-level security asks for: tenant and user, as text."""
        tenant = self.principal.tenant_id
        return {"tenant": "" if tenant is None else str(tenant), "user": str(self.principal.user_id)}


async def _caller(request: Request) -> Caller:
    return Caller(request.scope["principal"], request.app.state.parts)


async def _parts(request: Request) -> Parts:
    parts: Parts = request.app.state.parts
    return parts


CallerDep = Annotated[Caller, Depends(_caller)]
PartsDep = Annotated[Parts, Depends(_parts)]
