"""The links, and what project-api may read of them."""

from alembic import op
from backbone.migrations import create_backbone_tables, publish

revision = "0001"
down_revision = None

STATEMENTS = (
    """
    CREATE TABLE links (
        identifier text PRIMARY KEY,
        name text NOT NULL,
        provider text NOT NULL,
        region text NOT NULL,
        run integer NOT NULL,
        goal text NOT NULL CHECK (goal IN ('ensure', 'suspend', 'remove', 'cancel')),
        state text NOT NULL CHECK (state IN ('pending', 'linked', 'suspended', 'removed', 'failed', 'cancelled')),
        provider_project_id text,
        fact jsonb,
        deadline_at timestamptz NOT NULL,
        fence bigint NOT NULL DEFAULT 0,
        lease_until timestamptz,
        delay_told text,
        delay_told_at timestamptz
    )
    """,
    # For project-api's comparison of the cloud with our records.
    "GRANT SELECT (identifier, run, state, provider_project_id) ON links TO uca_project_api",
)


def upgrade() -> None:
    create_backbone_tables()
    publish("parked", "uca_project_api")
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("links are the only record of what is ours on the clouds; restore a backup instead")
