"""The event log, the read model folded from it, and who may read them."""

from alembic import op
from backbone.migrations import create_backbone_tables, publish

revision = "0001"
down_revision = None

TABLES = (
    # The log is the projector's inbox (by event id) and what the read model can always be folded from again.
    """
    CREATE TABLE events (
        event_id uuid PRIMARY KEY,
        seq bigint GENERATED ALWAYS AS IDENTITY,
        identifier text NOT NULL,
        run integer NOT NULL,
        type text NOT NULL,
        time timestamptz NOT NULL,
        data jsonb NOT NULL
    )
    """,
    "CREATE INDEX events_identifier_seq ON events (identifier, seq)",
    # All but identifier and facts stays null until the run's request has come: events may overtake it.
    # Rows are written over and over, so pages keep room for the next version beside the last.
    """
    CREATE TABLE project_status (
        identifier text PRIMARY KEY,
        tenant_id bigint,
        provider text,
        region text,
        run integer NOT NULL DEFAULT 0,
        version bigint NOT NULL DEFAULT 0,
        status text,
        kind text,
        finished boolean NOT NULL DEFAULT false,
        picture jsonb,
        updated_at timestamptz,
        started_at timestamptz,
        completed_at timestamptz,
        size_class text,
        step text,
        step_since timestamptz,
        facts jsonb
    ) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05)
    """,
    "CREATE INDEX project_status_running ON project_status (started_at) WHERE NOT finished",
    "CREATE INDEX project_status_active ON project_status (completed_at) WHERE status = 'active'",
    "CREATE INDEX project_status_removed ON project_status (completed_at) WHERE kind = 'remove' AND finished",
    """
    CREATE TABLE user_status (
        identifier text NOT NULL,
        user_id bigint NOT NULL,
        run integer NOT NULL,
        status text NOT NULL CHECK (status IN ('synced', 'failed', 'revoked')),
        code text,
        message text,
        updated_at timestamptz NOT NULL,
        event_id uuid NOT NULL,
        PRIMARY KEY (identifier, user_id)
    )
    """,
    """
    CREATE TABLE estimates (
        provider text NOT NULL,
        region text NOT NULL,
        size_class text NOT NULL,
        runs bigint NOT NULL,
        p50_seconds double precision NOT NULL,
        p95_seconds double precision NOT NULL,
        PRIMARY KEY (provider, region, size_class)
    )
    """,
    # With the reader's rights, for a plain view would see past row-level security.
    """
    CREATE VIEW timeline WITH (security_invoker = true) AS
    SELECT seq, event_id, identifier, run, type, time, data FROM events
    """,
)

ADMIN, TENANT = "uca_project_api", "uca_project_api_tenant"

TENANTS_ROWS = {
    "project_status": "tenant_id::text = current_setting('uca.tenant', true)",
    # A log entry or a user's row is the tenant's where its project is; the policy above narrows the inner SELECT.
    "events": "EXISTS (SELECT FROM project_status AS own WHERE own.identifier = events.identifier)",
    "user_status": "EXISTS (SELECT FROM project_status AS own WHERE own.identifier = user_status.identifier)",
}


def upgrade() -> None:
    """Makes the tables, and gives project-api's two roles their rows."""
    create_backbone_tables()
    for statement in TABLES:
        op.execute(statement)
    for table, own_rows in TENANTS_ROWS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY projector ON {table} TO uca_status_projector USING (true) WITH CHECK (true)")
        op.execute(f"CREATE POLICY admin ON {table} FOR SELECT TO {ADMIN} USING (true)")
        op.execute(f"CREATE POLICY tenant ON {table} FOR SELECT TO {TENANT} USING ({own_rows})")
    for relation in ("project_status", "user_status", "events", "timeline", "estimates"):
        publish(relation, ADMIN, TENANT)
    publish("parked", ADMIN)
