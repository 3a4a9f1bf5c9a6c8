"""What a change of a user starts: runs in the projects that they are in, in the change's own transaction."""

from backbone.database import Transaction

from project_api.directory import User
from project_api.tokens import Principal


async def user_changed(tx: Transaction, before: User, after: User | None, by: Principal) -> list[str]:
    """The user was removed (``after`` is None) or changed role or e-mail; the identifiers whose run was raised."""
    del tx, before, after, by
    return []


async def join_projects(tx: Transaction, user: User, by: Principal) -> list[str]:
    """The user joins every project that their role and tenant put them in; the identifiers whose run was raised."""
    del tx, user, by
    return []
