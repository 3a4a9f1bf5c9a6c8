"""The newest run of each project, what we know of its users, and the portions of work that are open."""

from alembic import op
from backbone.migrations import create_backbone_tables, publish

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE runs (
        identifier text PRIMARY KEY,
        run integer NOT NULL,
        kind text NOT NULL CHECK (kind IN ('provision', 'cancel', 'suspend', 'remove')),
        name text NOT NULL,
        tenant_id bigint,
        provider text NOT NULL,
        region text NOT NULL,
        participants jsonb NOT NULL,
        removed jsonb NOT NULL,
        redo bigint[] NOT NULL,
        deadline_at timestamptz NOT NULL,
        provider_project_id text,
        planned_at timestamptz,
        chunks_left integer NOT NULL DEFAULT 0,
        failure jsonb,
        swept_at timestamptz
    )
    """,
    """
    CREATE TABLE member_records (
        identifier text NOT NULL,
        user_id bigint NOT NULL,
        email text NOT NULL,
        role text,
        provider_user_id text,
        key_id text,
        sealed_secret bytea,
        credential_version integer NOT NULL DEFAULT 0,
        retired_key_ids text[] NOT NULL DEFAULT '{}',
        may_have_issued boolean NOT NULL DEFAULT false,
        asked_email text,
        asked_role text,
        state text NOT NULL CHECK (state IN ('pending', 'synced', 'failed', 'revoked')),
        run integer NOT NULL,
        changed text[] NOT NULL DEFAULT '{}',
        failure jsonb,
        updated_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (identifier, user_id),
        CHECK ((key_id IS NULL) = (sealed_secret IS NULL))
    )
    """,
    "CREATE INDEX member_records_uncertain ON member_records (identifier) WHERE may_have_issued",
    # A small table, written over and over: vacuum must not wait for a fifth of it to change.
    """
    CREATE TABLE chunks (
        id text PRIMARY KEY,
        identifier text NOT NULL,
        run integer NOT NULL,
        kind text NOT NULL,
        tenant_id bigint,
        region text NOT NULL,
        provider_project_id text NOT NULL,
        deadline_at timestamptz NOT NULL,
        turn bigint NOT NULL,
        orders jsonb NOT NULL,
        fence bigint NOT NULL DEFAULT 0,
        lease_until timestamptz,
        attempt integer NOT NULL DEFAULT 1,
        not_before timestamptz NOT NULL DEFAULT now(),
        told text,
        superseded boolean NOT NULL DEFAULT false,
        ticketed_at timestamptz NOT NULL DEFAULT now(),
        created_at timestamptz NOT NULL DEFAULT now()
    ) WITH (autovacuum_vacuum_scale_factor = 0.0, autovacuum_vacuum_threshold = 1000)
    """,
    "CREATE INDEX chunks_identifier ON chunks (identifier)",
    "CREATE INDEX chunks_turn ON chunks (turn, id) WHERE NOT superseded",
    "CREATE INDEX chunks_tenant ON chunks (coalesce(tenant_id, 0), turn)",
    "CREATE INDEX chunks_leased ON chunks (lease_until) WHERE lease_until IS NOT NULL",
    """
    CREATE VIEW members AS
    SELECT m.identifier, r.tenant_id, r.provider_project_id, m.user_id, m.email, m.role, m.provider_user_id, m.key_id,
           m.sealed_secret, m.credential_version, m.retired_key_ids, m.may_have_issued, m.state, m.run, m.updated_at
    FROM member_records AS m JOIN runs AS r USING (identifier)
    """,
)


def upgrade() -> None:
    """Makes the tables; project-api reads members and parked messages."""
    create_backbone_tables()
    for statement in STATEMENTS:
        op.execute(statement)
    for relation in ("members", "parked"):
        publish(relation, "uca_project_api")
