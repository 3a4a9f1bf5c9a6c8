"""Events that no consumer takes and the broker refuses: each closed the channel for all others, again and again."""

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    """Their runs fail at their deadlines. Such an event is not stored any more."""
    op.execute("DELETE FROM outbox WHERE octet_length(body) > 4194304")


def downgrade() -> None:
    """Nothing of it comes back."""
