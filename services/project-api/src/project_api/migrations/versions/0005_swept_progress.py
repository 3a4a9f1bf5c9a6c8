"""What a run had done when it was last asked for again, in place of how much was told of it."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """``swept_version`` stays for replicas of the version before; nothing reads it any more."""
    op.execute("ALTER TABLE projects ADD COLUMN swept_progress integer NOT NULL DEFAULT 0")


def downgrade() -> None:
    """Takes it away."""
    op.execute("ALTER TABLE projects DROP COLUMN swept_progress")
