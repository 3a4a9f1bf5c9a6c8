"""When a link came to the end of its run, so that removed ones can be forgotten."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Links that were removed before this are taken for removed now."""
    op.execute("ALTER TABLE links ADD COLUMN settled_at timestamptz")
    op.execute("UPDATE links SET settled_at = now() WHERE state = 'removed'")


def downgrade() -> None:
    op.execute("ALTER TABLE links DROP COLUMN settled_at")
