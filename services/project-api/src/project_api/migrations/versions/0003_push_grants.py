"""Who was given a signature for which socket and channel: the replica that has the socket learns here who it is."""

from alembic import op

revision = "0003"
down_revision = "0002"

OWN = "tenant_id = nullif(current_setting('uca.tenant', true), '')::bigint"

STATEMENTS = (
    # Unlogged: a grant lives for the moment between signature and subscription. A crash only makes clients ask again.
    """
    CREATE UNLOGGED TABLE push_grants (
        socket_id text NOT NULL,
        identifier text NOT NULL,
        user_id bigint NOT NULL,
        role text NOT NULL,
        tenant_id bigint,
        issued_at double precision NOT NULL,
        expires_at double precision NOT NULL,
        granted_at timestamptz NOT NULL DEFAULT clock_timestamp(),
        PRIMARY KEY (socket_id, identifier)
    )
    """,
    "CREATE INDEX push_grants_granted_at ON push_grants (granted_at)",
    "GRANT SELECT, INSERT, UPDATE ON push_grants TO uca_project_api_tenant",
    "ALTER TABLE push_grants ENABLE ROW LEVEL SECURITY",
    "ALTER TABLE push_grants FORCE ROW LEVEL SECURITY",
    "CREATE POLICY all_rows ON push_grants TO uca_project_api USING (true) WITH CHECK (true)",
    # An admin's grant may be taken over: another user may have signed in on the same page since.
    f"CREATE POLICY own_tenant ON push_grants TO uca_project_api_tenant USING (tenant_id IS NULL OR {OWN})"
    f" WITH CHECK ({OWN})",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
