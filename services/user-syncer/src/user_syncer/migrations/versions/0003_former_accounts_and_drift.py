"""Accounts that a change of e-mail left behind; whom to read one by one; what the sweep found to differ."""

from alembic import op

revision = "0003"
down_revision = "0002"

STATEMENTS = (
    "ALTER TABLE member_records ADD COLUMN former jsonb NOT NULL DEFAULT '[]'",
    "ALTER TABLE runs ADD COLUMN reread bigint[] NOT NULL DEFAULT '{}',"
    " ADD COLUMN compared_at timestamptz, ADD COLUMN drift jsonb NOT NULL DEFAULT '{}'",
    "CREATE INDEX runs_with_drift ON runs (identifier) WHERE drift <> '{}'",
)


def upgrade() -> None:
    """Additions only: the version before goes on beside it."""
    for statement in STATEMENTS:
        op.execute(statement)


def downgrade() -> None:
    raise NotImplementedError("accounts that are still to lose their access would be forgotten")
