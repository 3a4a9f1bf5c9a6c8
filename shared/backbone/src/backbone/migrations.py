"""Schema by Alembic, one history per service; the tables that every service has are described here once."""

import asyncio
from importlib.resources import files

import structlog
from alembic import command, context, op
from alembic.config import Config
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

log = structlog.get_logger()

BACKBONE = (
    """
    CREATE TABLE outbox (
        id uuid PRIMARY KEY,
        exchange text NOT NULL,
        routing_key text NOT NULL,
        content_type text NOT NULL,
        headers jsonb NOT NULL DEFAULT '{}',
        body bytea NOT NULL,
        expiration_ms integer,
        created_at timestamptz NOT NULL DEFAULT clock_timestamp()
    ) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 5000)
    """,
    "CREATE INDEX outbox_created_at ON outbox (created_at)",
    """
    CREATE TABLE inbox (
        message_id uuid PRIMARY KEY,
        received_at timestamptz NOT NULL DEFAULT now()
    )
    """,
    "CREATE INDEX inbox_received_at ON inbox USING brin (received_at)",
    """
    CREATE TABLE parked (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        message_id text NOT NULL UNIQUE,
        routing_key text NOT NULL,
        content_type text NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        reason text NOT NULL,
        error text NOT NULL,
        tries integer NOT NULL,
        subject text NOT NULL,
        type text NOT NULL,
        state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'replayed', 'discarded')),
        parked_at timestamptz NOT NULL DEFAULT now(),
        decided_by text,
        decided_at timestamptz
    )
    """,
    "CREATE INDEX parked_open ON parked (parked_at) WHERE state = 'open'",
    "CREATE INDEX parked_subject ON parked (subject)",
)


def create_backbone_tables() -> None:
    """For a service's first migration: outbox, inbox and parked, in the service's own schema."""
    for statement in BACKBONE:
        op.execute(statement)


def publish(relation: str, *roles: str) -> None:
    """Lets other roles read one table or view of the service's schema."""
    schema = context.config.attributes["schema"]
    for role in roles:
        op.execute(f"GRANT USAGE ON SCHEMA {schema} TO {role}")
        op.execute(f"GRANT SELECT ON {schema}.{relation} TO {role}")


def upgrade(package: str, url: str, revision: str = "head") -> None:
    """Brings the schema named like ``package`` to ``revision``, as the owner at ``url``. Not to be called in a loop
    that runs: Alembic is synchronous, the driver is not.

    A revision that is not known here stays: these are the old images again, which can live with a newer schema.
    """
    config = _config(package)
    config.attributes.update(url=url, schema=package)
    command.upgrade(config, revision)


def head(package: str) -> str | None:
    """The newest revision that this version of the code knows."""
    return ScriptDirectory.from_config(_config(package)).get_current_head()


def run_env() -> None:
    """The whole of a service's ``migrations/env.py``."""
    asyncio.run(_run_async())


async def _run_async() -> None:
    attributes = context.config.attributes
    server_settings = {"search_path": attributes["schema"], "lock_timeout": "10s"}
    engine = create_async_engine(
        "postgresql+asyncpg://",  # the driver reads the URL itself, and knows sslmode and its like
        poolclass=NullPool,
        connect_args={"dsn": attributes["url"], "server_settings": server_settings},
    )
    async with engine.begin() as connection:
        await connection.run_sync(_migrate, attributes["schema"])
    await engine.dispose()


def _migrate(connection: Connection, schema: str) -> None:
    # Two deploys at once: the second one waits here and then finds nothing to do.
    connection.execute(text("SELECT pg_advisory_xact_lock(hashtext(:name))"), {"name": f"{schema}.migrations"})
    context.configure(connection=connection, version_table_schema=schema, transactional_ddl=True)
    found = context.get_context().get_current_revision()
    if found and found not in {script.revision for script in context.script.walk_revisions()}:
        log.warning("schema.newer", schema=schema, revision=found, known=context.get_head_revision())
        return
    with context.begin_transaction():
        context.run_migrations()
        _keep_version(connection, schema)
    log.info("schema.upgraded", schema=schema, revision=context.get_revision_argument())


def _keep_version(connection: Connection, schema: str) -> None:
    """The schema's default rights let its service write every table, but where its history stands is the owner's to
    say: a service taken over could have the next deploy repeat migrations, or stop it.
    """
    table = f"{schema}.alembic_version"
    others = (
        "SELECT DISTINCT grantee::regrole::text FROM pg_class, aclexplode(relacl)"
        " WHERE pg_class.oid = CAST(:table AS regclass) AND grantee NOT IN (0, relowner)"
    )
    for role in connection.execute(text(others), {"table": table}).scalars().all():
        connection.execute(text(f"REVOKE INSERT, UPDATE, DELETE ON {table} FROM {role}"))


def _config(package: str) -> Config:
    config = Config()
    config.set_main_option("script_location", str(files(package) / "migrations"))
    return config
