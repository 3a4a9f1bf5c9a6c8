"""Rows of orphans by age: no run, and so no removal, ever comes to take them away."""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Adds the index, which holds no row of a project."""
    op.execute("CREATE INDEX project_status_orphans ON project_status (updated_at) WHERE run = 0")


def downgrade() -> None:
    """Takes it away."""
    op.execute("DROP INDEX project_status_orphans")
