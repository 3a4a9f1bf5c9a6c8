"""E-mails beyond ASCII as they are stored from now on, so that a user's account on a cloud is no second user's."""

from alembic import op
from sqlalchemy import text

revision = "0007"
down_revision = "0006"

FOREIGN = "SELECT id, email FROM users WHERE email ~ '[^\\x01-\\x7f]' ORDER BY id"
LOWER = """
    UPDATE users SET email = :email WHERE id = :id
    AND NOT EXISTS (SELECT FROM users WHERE lower(email) = lower(:email) AND id <> :id)
"""


def upgrade() -> None:
    """Where two users have one account already both stay as they are: which of them is right, a person has to say."""
    connection = op.get_bind()
    op.execute("ALTER TABLE users NO FORCE ROW LEVEL SECURITY")  # the owner would see nobody
    for user in connection.execute(text(FOREIGN)).all():
        connection.execute(text(LOWER), {"id": user.id, "email": user.email.lower()})
    op.execute("ALTER TABLE users FORCE ROW LEVEL SECURITY")
    op.execute("UPDATE directory_versions SET version = version + 1")


def downgrade() -> None:
    """They may stay so."""
