"""The links are this service's own business: nobody else reads them."""

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Takes a right away that nobody uses."""
    op.execute("REVOKE SELECT (identifier, run, state, provider_project_id) ON links FROM uca_project_api")


def downgrade() -> None:
    op.execute("GRANT SELECT (identifier, run, state, provider_project_id) ON links TO uca_project_api")
