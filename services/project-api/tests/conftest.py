"""project-api in this process, on a migrated database of its own, entered with its two roles' rights and no more."""

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import pytest
import structlog
from backbone import migrations
from backbone.runtime import build
from backbone.testing import fresh_database
from clouds.regions import load_regions
from clouds.vault import Vault, load_keys
from fastapi import FastAPI
from project_api.app import create_app
from project_api.auth.tokens import Principal, Role, issue
from project_api.parts import Parts, assemble
from project_api.push.testing import Replica, Stage, listening
from project_api.settings import Settings
from project_api.testing import World

# The default prints every local of every frame, which takes minutes where the application is one of them.
structlog.configure(processors=[structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)])

SECRET = "a secret of the tests alone, long enough"
ADMIN_ROLE, TENANT_ROLE = "uca_project_api", "uca_project_api_tenant"
PROJECTOR_ROLE, SYNCER_ROLE, LINKER_ROLE = "uca_status_projector", "uca_user_syncer", "uca_link_provisioner"
OTHERS = ("link_provisioner",)
"""Services whose parked messages project-api reads; their tables are stood in for."""

Tokens = Callable[..., dict[str, str]]


@dataclass(frozen=True)
class Urls:
    """The database as its owner, as project-api and as project-api for one tenant."""

    owner: str
    admin: str
    tenant: str


@pytest.fixture(scope="session")
async def urls(postgres_url: str) -> AsyncIterator[Urls]:
    """One database for the session, with the schemas of project-api and of what it reads."""
    async with fresh_database(postgres_url) as owner_url:
        owner = await asyncpg.connect(owner_url)
        try:
            await _prepare(owner)
            for package in ("project_api", "status_projector", "user_syncer"):
                await asyncio.to_thread(migrations.upgrade, package, owner_url)
            # Tests make tokens of users who are not there, by small numbers: no user who comes and goes may have these.
            await owner.execute("ALTER SEQUENCE project_api.users_id_seq RESTART WITH 1000000")
            for schema in OTHERS:
                await owner.execute(f"CREATE TABLE {schema}.parked (LIKE project_api.parked INCLUDING ALL)")
                await owner.execute(
                    f"CREATE TABLE {schema}.region_health (LIKE user_syncer.region_health INCLUDING ALL)"
                )
                await owner.execute(f"GRANT SELECT ON {schema}.parked, {schema}.region_health TO {ADMIN_ROLE}")
            async with _login(owner, ADMIN_ROLE) as admin, _login(owner, TENANT_ROLE) as tenant:
                yield Urls(owner_url, _entered_by(owner_url, admin), _entered_by(owner_url, tenant))
        finally:
            await owner.close()


async def _prepare(owner: "asyncpg.Connection[asyncpg.Record]") -> None:
    for role in (ADMIN_ROLE, TENANT_ROLE, PROJECTOR_ROLE, SYNCER_ROLE, LINKER_ROLE):
        # Somebody else's tests may make the same role at this moment.
        with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
            await owner.execute(f"CREATE ROLE {role} LOGIN")
    for schema in ("project_api", "status_projector", "user_syncer", *OTHERS):
        await owner.execute(f"CREATE SCHEMA {schema}; GRANT USAGE ON SCHEMA {schema} TO {ADMIN_ROLE}, {TENANT_ROLE}")
    for kind, rights in (("TABLES", "SELECT, INSERT, UPDATE, DELETE"), ("SEQUENCES", "USAGE, SELECT")):
        await owner.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA project_api GRANT {rights} ON {kind} TO {ADMIN_ROLE}")


@asynccontextmanager
async def _login(owner: "asyncpg.Connection[asyncpg.Record]", role: str) -> AsyncIterator[str]:
    """`user:password` of a login that has the role's rights; the role itself keeps its password, which others use."""
    name, password = f"test_{secrets.token_hex(6)}", secrets.token_hex(8)
    await owner.execute(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {role}")
    try:
        yield f"{name}:{password}"
    finally:
        await owner.execute(f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{name}'")
        await owner.execute(f"DROP ROLE {name}")


def _entered_by(url: str, login: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{login}@{parts.netloc.rpartition('@')[2]}").geturl()


@pytest.fixture(scope="session")
def regions_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two regions, of which nobody listens at the address."""
    common = {"provider": "zadara", "url": "http://127.0.0.1:9", "account": "uca", "username": "portal"}
    regions = [
        {"code": "region-1", "name": "Region 1", "is_active": True, **common, "password_env": "TEST_CLOUD_PASSWORD"},
        {"code": "region-2", "name": "Region 2", "is_active": False, **common, "password_env": "TEST_CLOUD_PASSWORD"},
    ]
    path = tmp_path_factory.mktemp("clouds") / "regions.json"
    path.write_text(json.dumps(regions))
    return path


@pytest.fixture(scope="session")
def settings(urls: Urls, regions_file: Path) -> Settings:
    """What the service would read from its environment."""
    return Settings.model_validate(
        {
            "database_url": urls.admin,
            "tenant_database_url": urls.tenant,
            "amqp_url": "amqp://nobody:nothing@127.0.0.1:9/",
            "jwt_secret": SECRET,
            "push_secret": "a push secret of the tests",
            "sealing_keys": "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
            "cloud_regions_file": regions_file,
            "pool_size": 4,
        }
    )


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application over parts of its own, as another replica has them; nothing runs in the background."""
    runtime = build("project-api", settings)
    async with runtime.stack:
        runtime.stack.push_async_callback(runtime.database.close)
        regions = load_regions(settings.cloud_regions_file, {"TEST_CLOUD_PASSWORD": "a password"})
        assert settings.sealing_keys is not None
        vault = Vault(load_keys({"SEALING_KEYS": settings.sealing_keys.get_secret_value()}))
        yield create_app(assemble(runtime, settings, regions, vault))


def client_of(app: FastAPI) -> httpx.AsyncClient:
    """A client that speaks with the application directly."""
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://uca.test")


@pytest.fixture(scope="session")
async def app(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application that most tests speak to."""
    async with opened(settings) as app:
        yield app


@pytest.fixture
async def replica(settings: Settings) -> AsyncIterator[FastAPI]:
    """The application of a replica that has just been started."""
    async with opened(settings) as app:
        yield app


@pytest.fixture(scope="session")
def parts(app: FastAPI) -> Parts:
    """What the application works with."""
    found: Parts = app.state.parts
    return found


@pytest.fixture(scope="session")
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks with the application; each request brings its own token."""
    async with client_of(app) as client:
        yield client


@pytest.fixture
async def limited(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks with an application that gives each tenant one request in a hundred seconds."""
    async with opened(settings.model_copy(update={"tenant_rate": 0.01})) as app, client_of(app) as client:
        yield client


@pytest.fixture
async def cross_origin(settings: Settings) -> AsyncIterator[httpx.AsyncClient]:
    """Speaks with an application that lets pages of https://portal.uca.test call it."""
    origins = {"cors_origins": ("https://portal.uca.test",), "cookie_domain": "uca.test"}
    async with opened(settings.model_copy(update=origins)) as app, client_of(app) as client:
        yield client


@pytest.fixture(scope="session")
def bearer(settings: Settings) -> Tokens:
    """`bearer(role="admin", user_id=1, tenant_id=None)`: the Authorization header of such a user."""

    def make(role: Role = "admin", user_id: int = 1, tenant_id: int | None = None, **more: str) -> dict[str, str]:
        principal = Principal(user_id, role, tenant_id, more.get("email", f"user{user_id}@uca.test"))
        token = issue(principal, SECRET, issuer=settings.jwt_issuer, audience=settings.jwt_audience, seconds=600)
        return {"Authorization": f"Bearer {token}"}

    return make


@pytest.fixture(scope="session")
async def syncer(urls: Urls) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
    """Writes what user-syncer would."""
    connection = await asyncpg.connect(urls.owner, server_settings={"search_path": "user_syncer"})
    yield connection
    await connection.close()


@pytest.fixture(scope="session")
async def world(urls: Urls, parts: Parts, client: httpx.AsyncClient, bearer: Tokens) -> AsyncIterator[World]:
    """Tenants, users and projects to test with, and the read model to be filled."""
    projector = await asyncpg.connect(urls.owner)
    try:
        await projector.execute(f"GRANT {PROJECTOR_ROLE} TO CURRENT_USER")
        await projector.execute(f"GRANT USAGE ON SCHEMA status_projector TO {PROJECTOR_ROLE}")
        for table in ("project_status", "user_status", "events", "estimates"):
            await projector.execute(f"GRANT ALL ON status_projector.{table} TO {PROJECTOR_ROLE}")
        await projector.execute(f"SET ROLE {PROJECTOR_ROLE}")
        world = World(client, parts, bearer, projector)
        await world.begin()
        yield world
    finally:
        await projector.close()


@pytest.fixture(scope="session")
async def stage(parts: Parts, urls: Urls) -> AsyncIterator[Stage]:
    """Writes as project-api and as status-projector."""
    projector = await asyncpg.connect(urls.owner)
    try:
        await projector.execute("GRANT uca_status_projector TO CURRENT_USER")
        await projector.execute("GRANT USAGE ON SCHEMA status_projector TO uca_status_projector")
        await projector.execute("GRANT ALL ON status_projector.project_status TO uca_status_projector")
        await projector.execute("SET ROLE uca_status_projector")
        yield Stage(parts, projector)
    finally:
        await projector.close()


@pytest.fixture(scope="session")
async def replicas(parts: Parts) -> AsyncIterator[tuple[Replica, Replica]]:
    """Two replicas that know nothing of each other."""
    async with listening(parts) as one, listening(parts) as other:
        yield one, other


@pytest.fixture
def news_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits is let go by news, and by no look of its own now and then."""
    for name in ("LOOK_SECONDS", "LOOK_SECONDS_ALONE"):
        monkeypatch.setattr(f"project_api.changes.{name}", 3600)
