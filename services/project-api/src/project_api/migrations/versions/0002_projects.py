"""Projects, their participants, the answers kept for repeated requests, and the credentials handed out."""

from alembic import op

revision = "0002"
down_revision = "0001"

TABLES = (
    # Trusted since PostgreSQL 13: whoever may create in the database may install it.
    "CREATE EXTENSION IF NOT EXISTS pg_trgm SCHEMA project_api",
    """
    CREATE TABLE projects (
        identifier text PRIMARY KEY,
        tenant_id bigint,
        name text NOT NULL,
        description text NOT NULL DEFAULT '',
        provider text NOT NULL,
        region text NOT NULL,
        type text,
        assignment_scope text,
        client_id bigint,
        owner_id bigint,
        availability_zone text,
        user_policies jsonb,
        metadata jsonb,
        created_by bigint NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        updated_at timestamptz NOT NULL DEFAULT now(),
        -- rises with each change of what a person may edit
        version integer NOT NULL DEFAULT 1,
        -- the latest run: what for, what is wanted of the project since the last one that wasn't a cancel, its event
        run integer NOT NULL DEFAULT 1,
        kind text NOT NULL DEFAULT 'provision' CHECK (kind IN ('provision', 'cancel', 'suspend', 'remove')),
        goal text NOT NULL DEFAULT 'provision' CHECK (goal IN ('provision', 'suspend', 'remove')),
        command jsonb NOT NULL,
        -- users whom the run has to report, those who leave among them
        participants integer NOT NULL,
        requested_at timestamptz NOT NULL DEFAULT now(),
        deadline_at timestamptz NOT NULL,
        estimate jsonb,
        -- the read model's word on a run that has ended, copied by the sweeper so that lists find it by index
        open boolean NOT NULL DEFAULT true,
        status text NOT NULL DEFAULT 'provisioning',
        swept_at timestamptz,
        swept_version bigint NOT NULL DEFAULT 0,
        sweeps integer NOT NULL DEFAULT 0
    ) WITH (fillfactor = 85)
    """,
    "CREATE UNIQUE INDEX projects_name ON projects (tenant_id, name) NULLS NOT DISTINCT WHERE goal <> 'remove'",
    "CREATE INDEX projects_newest ON projects (created_at, identifier)",
    "CREATE INDEX projects_tenant_newest ON projects (tenant_id, created_at, identifier)",
    "CREATE INDEX projects_region_newest ON projects (region, created_at, identifier)",
    "CREATE INDEX projects_status_newest ON projects (status, created_at, identifier) WHERE NOT open",
    "CREATE INDEX projects_tenant_status ON projects (tenant_id, status, created_at, identifier) WHERE NOT open",
    "CREATE INDEX projects_updated ON projects (updated_at, identifier)",
    'CREATE INDEX projects_by_name ON projects (lower(name) COLLATE "C", identifier)',
    "CREATE INDEX projects_search ON projects USING gin (name gin_trgm_ops)",
    "CREATE INDEX projects_open ON projects (requested_at) WHERE open",
    # No foreign key: one statement writes a project with its participants, and one deletes them.
    """
    CREATE TABLE participants (
        identifier text NOT NULL,
        user_id bigint NOT NULL,
        tenant_id bigint,
        position integer NOT NULL,
        email text NOT NULL,
        name text NOT NULL,
        role text NOT NULL,
        reasons text[] NOT NULL,
        PRIMARY KEY (identifier, user_id)
    )
    """,
    "CREATE INDEX participants_user ON participants (user_id)",
    """
    CREATE TABLE idempotency_keys (
        scope text NOT NULL,
        key text NOT NULL,
        fingerprint bytea NOT NULL,
        status integer NOT NULL,
        headers jsonb NOT NULL,
        body bytea NOT NULL,
        created_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (scope, key)
    )
    """,
    "CREATE INDEX idempotency_keys_created_at ON idempotency_keys USING brin (created_at)",
    """
    CREATE TABLE credential_reads (
        identifier text NOT NULL,
        user_id bigint NOT NULL,
        key_id text NOT NULL,
        tenant_id bigint,
        read_by bigint NOT NULL,
        read_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (identifier, user_id, key_id)
    )
    """,
)

# Volatile, so that it looks anew once it has the lock: at the directory as it stays until the transaction ends.
HELD = """
    CREATE FUNCTION directory_versions_held(names text[]) RETURNS jsonb LANGUAGE plpgsql VOLATILE AS $$
    BEGIN
        PERFORM pg_advisory_xact_lock_shared(hashtext('project_api.directory'));
        RETURN (SELECT jsonb_object_agg(name, version) FROM project_api.directory_versions WHERE name = ANY(names));
    END
    $$
"""

RIGHTS = (
    "GRANT SELECT, INSERT, UPDATE ON projects TO uca_project_api_tenant",
    "GRANT SELECT, INSERT, UPDATE, DELETE ON participants TO uca_project_api_tenant",
    "GRANT SELECT, INSERT ON idempotency_keys, credential_reads TO uca_project_api_tenant",
)

TENANT = "nullif(current_setting('uca.tenant', true), '')"
OWN_ROWS = {
    **dict.fromkeys(("projects", "participants", "credential_reads"), f"tenant_id = {TENANT}::bigint"),
    # A key's scope begins with whose it is, as idempotency.py writes it: tenant, or a dash, and user.
    "idempotency_keys": f"split_part(scope, '/', 1) = coalesce({TENANT}, '-')"
    " AND split_part(scope, '/', 2) = current_setting('uca.user', true)",
}


def upgrade() -> None:
    for statement in (*TABLES, HELD, *RIGHTS):
        op.execute(statement)
    for table, own in OWN_ROWS.items():
        op.execute(f"ALTER TABLE {table} ENABLE ROW LEVEL SECURITY")
        op.execute(f"ALTER TABLE {table} FORCE ROW LEVEL SECURITY")
        op.execute(f"CREATE POLICY all_rows ON {table} TO uca_project_api USING (true) WITH CHECK (true)")
        op.execute(f"CREATE POLICY own_rows ON {table} TO uca_project_api_tenant USING ({own}) WITH CHECK ({own})")
