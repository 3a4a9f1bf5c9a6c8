"""A tenant's people read the status of the projects without a tenant that name them."""

from alembic import op

revision = "0005"
down_revision = "0004"

TENANT = "uca_project_api_tenant"

# Which those are project-api knows, and tells its own role. A row whose request has not come yet has no tenant either,
# but is not among them.
NAMED = "tenant_id IS NULL AND identifier = ANY (ARRAY (SELECT named.identifier FROM project_api.named))"


def upgrade() -> None:
    """Log entries and users' rows follow: each is shown where its project's row is."""
    op.execute(f"CREATE POLICY named ON project_status FOR SELECT TO {TENANT} USING ({NAMED})")


def downgrade() -> None:
    """Takes it away."""
    op.execute("DROP POLICY named ON project_status")
