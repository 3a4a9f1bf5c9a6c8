"""Tokens: who called, for which account, and since when."""

import secrets
from dataclasses import dataclass
from time import monotonic

from cloud_simulator.errors import Unauthorized


@dataclass(frozen=True, slots=True)
class Session:
    """What a token stands for. `account_id` is None for a login without scope; `issued_at` is monotonic seconds."""

    account_id: str | None
    is_admin: bool
    issued_at: float


class Tokens:
    """Every token issued. A token's life is asked for at each check, so that a test can end all of them at once."""

    def __init__(self) -> None:
        self._sessions: dict[str, Session] = {}

    def issue(self, account_id: str | None, *, is_admin: bool) -> str:
        """The token to send as `X-Auth-Token`."""
        token = secrets.token_urlsafe(24)
        self._sessions[token] = Session(account_id, is_admin, monotonic())
        return token

    def check(self, token: str | None, ttl_s: float) -> Session:
        """Raises Unauthorized for a token that is absent, unknown, or older than `ttl_s` seconds."""
        session = self._sessions.get(token or "")
        if session is None:
            raise Unauthorized("The request you have made requires authentication.")
        if monotonic() - session.issued_at >= ttl_s:
            raise Unauthorized("The token has expired.")
        return session
