"""The fence with which a lease was taken: a newer run raises the fence, and the lease's holder gives it back."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """A lease that is open now ends with its time."""
    op.execute("ALTER TABLE links ADD COLUMN leased_as bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE links DROP COLUMN leased_as")
