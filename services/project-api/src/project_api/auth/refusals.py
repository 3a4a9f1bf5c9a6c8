"""Tokens that are good by their signature and yet refused: a removed user's, and one from before a user's change.

Each replica looks at the version once a second and reads the table where it has moved.
"""

from collections.abc import Mapping

from backbone.database import Database

from project_api.auth.tokens import Principal

NAME = "refused_tokens"

VERSION = "SELECT version FROM directory_versions WHERE name = 'refused_tokens'"
LOAD = "SELECT user_id, CAST(extract(epoch FROM issued_before) AS float8) AS issued_before FROM refused_tokens"
REFUSE = (
    "INSERT INTO refused_tokens (user_id, issued_before)"
    " VALUES (:user_id, CASE WHEN :removed THEN 'infinity'::timestamptz ELSE clock_timestamp() END)"
    " ON CONFLICT (user_id) DO UPDATE SET issued_before = excluded.issued_before"
)
"""In the transaction that removes or changes the user, which raises the version of :data:`NAME` too.

A token whose ``iat`` is a whole second may be from before or after a change in that second: it is refused, for whoever
was an admin until then must not stay one for as long as the token lasts. Signing in again helps.
"""


class Refusals:
    """What is refused, as this replica knows it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._version = -1
        self._issued_before: Mapping[int, float] = {}

    def refuses(self, principal: Principal) -> bool:
        """Whether this token must not be taken any more."""
        return principal.issued_at < self._issued_before.get(principal.user_id, float("-inf"))

    async def look(self) -> None:
        """One round: reads the table again where it has changed."""
        version = (await self._database.execute(VERSION)).scalar_one()
        if version == self._version:
            return
        rows = (await self._database.execute(LOAD)).all()
        self._issued_before = {row.user_id: row.issued_before for row in rows}
        self._version = version
