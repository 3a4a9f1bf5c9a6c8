"""When a removed link is to be looked for on its cloud once more."""

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    """What was removed before this is taken for gone."""
    op.execute("ALTER TABLE links ADD COLUMN look_again_at timestamptz")
    op.execute("CREATE INDEX links_look_again ON links (look_again_at) WHERE look_again_at IS NOT NULL")


def downgrade() -> None:
    op.execute("ALTER TABLE links DROP COLUMN look_again_at")
