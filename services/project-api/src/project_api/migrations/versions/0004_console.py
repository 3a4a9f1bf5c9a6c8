"""Sign-in codes of the console, and the regions that an admin has put into maintenance."""

from alembic import op
from backbone.migrations import publish

revision = "0004"
down_revision = "0003"

STATEMENTS = (
    # Unlogged: a code lives for minutes, and after a crash another one is asked for.
    """
    CREATE UNLOGGED TABLE console_codes (
        hash bytea PRIMARY KEY,
        user_id bigint NOT NULL,
        expires_at timestamptz NOT NULL
    )
    """,
    """
    CREATE TABLE maintenance (
        region text PRIMARY KEY,
        reason text NOT NULL,
        begun_by text NOT NULL,
        begun_at timestamptz NOT NULL DEFAULT now()
    )
    """,
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
    publish("maintenance", "uca_link_provisioner", "uca_user_syncer")
