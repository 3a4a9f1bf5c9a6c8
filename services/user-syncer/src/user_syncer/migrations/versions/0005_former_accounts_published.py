"""Publishes the accounts beside a member's own that may have access: project-api's previews plan with them, too."""

from alembic import op
from backbone.migrations import publish

revision = "0005"
down_revision = "0004"

MEMBERS = """
    CREATE OR REPLACE VIEW members AS
    SELECT m.identifier, r.tenant_id, r.provider_project_id, m.user_id, m.email, m.role, m.provider_user_id, m.key_id,
           m.sealed_secret, m.credential_version, m.retired_key_ids, m.may_have_issued, m.state, m.run, m.updated_at
           {more}
    FROM member_records AS m JOIN runs AS r USING (identifier)
"""
# As Member.record has them: those recorded, and that of an attempt whose end is not known.
FORMER = """
    , CASE WHEN m.may_have_issued AND m.asked_email IS NOT NULL THEN m.former || jsonb_build_object(
        'user_id', m.user_id, 'email', m.asked_email, 'role', m.asked_role) ELSE m.former END AS former
"""


def upgrade() -> None:
    """A further column: the version before reads the view beside it."""
    op.execute(MEMBERS.format(more=FORMER))


def downgrade() -> None:
    """A view's column cannot be taken away but with the view."""
    op.execute("DROP VIEW members")
    op.execute(MEMBERS.format(more=""))
    publish("members", "uca_project_api")
