"""How the clouds of the regions do, as each replica sees it; project-api shows it."""

from alembic import op
from backbone.migrations import publish
from clouds import watch

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.execute(watch.TABLE)
    publish("region_health", "uca_project_api")


def downgrade() -> None:
    op.execute("DROP TABLE region_health")
