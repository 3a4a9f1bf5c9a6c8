"""A tenant's people read the projects without a tenant that name them, and change nothing of them."""

from alembic import op
from backbone.migrations import publish

revision = "0008"
down_revision = "0007"

TENANT = "uca_project_api_tenant"
TABLES = "projects", "participants"

# An OR that the planner looks into keeps it from the indexes by which a tenant's lists are read, so both are no more
# than filters to it, and what they compare with is found once in a statement: the tenant for the first row, the
# projects that name somebody for the first row without a tenant.
OWN = "coalesce(tenant_id = (SELECT nullif(current_setting('uca.tenant', true), '')::bigint), false)"
NAMED = "tenant_id IS NULL AND identifier = ANY (ARRAY (SELECT named.identifier FROM named))"
OWN_BEFORE = "tenant_id = nullif(current_setting('uca.tenant', true), '')::bigint"

STATEMENTS = (
    # Who writes waits at the first of these, and so has nothing yet that the policies ask for.
    "LOCK TABLE projects, participants IN SHARE MODE",
    # A user may be in every project of a large tenant, among which these few would have to be looked for.
    "CREATE INDEX participants_named ON participants (user_id, identifier) WHERE tenant_id IS NULL",
    # It reads as its owner, whom row-level security does not bind: a policy of participants cannot ask participants.
    """
    CREATE VIEW named WITH (security_barrier = true) AS
    SELECT identifier FROM participants
    WHERE tenant_id IS NULL AND user_id = nullif(current_setting('uca.user', true), '')::bigint
    """,
    "REVOKE ALL ON named FROM uca_project_api",
)


def upgrade() -> None:
    """For SELECT alone: who may write what is said by the policies that are there."""
    for statement in STATEMENTS:
        op.execute(statement)
    publish("named", TENANT)
    for table in TABLES:
        op.execute(f"ALTER POLICY own_rows ON {table} USING ({OWN})")
        op.execute(f"CREATE POLICY named ON {table} FOR SELECT TO {TENANT} USING ({NAMED})")


def downgrade() -> None:
    """Takes it away, after what other services' policies have made of it."""
    for table in TABLES:
        op.execute(f"DROP POLICY named ON {table}")
        op.execute(f"ALTER POLICY own_rows ON {table} USING ({OWN_BEFORE})")
    op.execute("DROP VIEW named")
    op.execute("DROP INDEX participants_named")
