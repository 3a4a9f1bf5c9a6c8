"""Whose a link is, so that tenants take turns."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Links of before stand together, as those of no tenant, until their next run."""
    op.execute("ALTER TABLE links ADD COLUMN tenant_id bigint")


def downgrade() -> None:
    op.execute("ALTER TABLE links DROP COLUMN tenant_id")
