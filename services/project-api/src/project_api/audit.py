"""Who did what: a row in the transaction that did it, which nobody's rights allow to change."""

from typing import Any

from backbone.database import Transaction
from pydantic_core import to_json

from project_api.auth.tokens import Principal

INSERT = (
    "INSERT INTO audit (user_id, email, action, subject, detail)"
    " VALUES (:user_id, :email, :action, :subject, CAST(:detail AS jsonb))"
)


async def record(tx: Transaction, by: Principal, action: str, subject: str, **detail: Any) -> None:
    """``action`` is a dotted word such as user.removed, ``subject`` what it was done to; no secret in either."""
    await tx.execute(
        INSERT,
        {
            "user_id": by.user_id,
            "email": by.email,
            "action": action,
            "subject": subject,
            "detail": to_json(detail).decode(),
        },
    )
