"""One-time codes that sign a person in: short-lived, used once, and only their hashes are kept."""

import hashlib
import secrets

from backbone.database import Transaction

VALID_SECONDS = 900

STORE = (
    "WITH gone AS (DELETE FROM console_codes WHERE expires_at < now())"
    " INSERT INTO console_codes (hash, user_id, expires_at)"
    " VALUES (:hash, :user_id, now() + make_interval(secs => :seconds))"
)
REDEEM = "DELETE FROM console_codes WHERE hash = :hash AND expires_at > now() RETURNING user_id"


async def make(tx: Transaction, user_id: int) -> str:
    """A new code for the user, good once within :data:`VALID_SECONDS`."""
    code = secrets.token_urlsafe(24)
    await tx.execute(STORE, {"hash": _hash(code), "user_id": user_id, "seconds": VALID_SECONDS})
    return code


async def redeem(tx: Transaction, code: str) -> int | None:
    """Whom the code signs in, if it is good; it is used up by that."""
    row = (await tx.execute(REDEEM, {"hash": _hash(code)})).one_or_none()
    return None if row is None else int(row.user_id)


def _hash(code: str) -> bytes:
    # No salt and no slow hash: the code itself is 192 random bits.
    return hashlib.sha256(code.encode()).digest()
