"""Cloud projects with our mark that no project of ours should have, so that each is told once, whoever sees it."""

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Adds the table."""
    op.execute(
        """
        CREATE TABLE orphans (
            region text,
            provider_project_id text,
            first_seen_at timestamptz NOT NULL DEFAULT now(),
            told boolean NOT NULL DEFAULT false,
            PRIMARY KEY (region, provider_project_id)
        )
        """
    )


def downgrade() -> None:
    """Takes it away."""
    op.execute("DROP TABLE orphans")
