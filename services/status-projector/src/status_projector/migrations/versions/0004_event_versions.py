"""In which version an event was logged, so that the log can be read after its meaning has changed."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """All that was logged so far is of version 1, and so is what an older projector still logs."""
    op.execute("ALTER TABLE events ADD COLUMN version smallint NOT NULL DEFAULT 1")


def downgrade() -> None:
    """Takes it away."""
    op.execute("ALTER TABLE events DROP COLUMN version")
