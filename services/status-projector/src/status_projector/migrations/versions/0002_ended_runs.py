"""Runs by when they ended: what ended late is looked for every few seconds."""

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Adds the index."""
    op.execute("CREATE INDEX project_status_ended ON project_status (completed_at) WHERE finished")


def downgrade() -> None:
    """Takes it away."""
    op.execute("DROP INDEX project_status_ended")
