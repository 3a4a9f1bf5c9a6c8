"""One project as the tests tell of it: events in, and what link-provisioner sends."""

from datetime import UTC, datetime, timedelta
from typing import Any

import uuid_utils
from backbone.database import Database
from backbone.envelope import unpack
from backbone.handlers import Work
from backbone.retries import GiveUp
from contracts import events
from contracts.events import (
    AccessRevoked,
    RunRequested,
)

from link_provisioner.provisioner import Provisioner

TYPES = {kind.__name__: kind for kind in events.RECORDED}
SENT = "DELETE FROM outbox RETURNING created_at, body, content_type"
ROW = "SELECT * FROM links WHERE identifier = :identifier"

FAILURE = GiveUp("invalid", "The cloud answered 400: no such quota", retryable=False, tries=3, expected=True)
"""A refusal that no further try would change."""


class Story:
    """One project's events, and what link-provisioner makes of them."""

    def __init__(self, database: Database, provisioner: Provisioner, identifier: str) -> None:
        self.database = database
        self.provisioner = provisioner
        self.identifier = identifier

    def command(self, kind: type[RunRequested], run: int = 1, **fields: Any) -> Any:
        """An event of project-api; its deadline is a day ahead unless told otherwise."""
        now = datetime.now(UTC)
        known = {"name": "Shop", "tenant_id": 1, "provider": "zadara", "region": "here", "participants": ()}
        times = {"requested_at": now, "deadline_at": now + timedelta(days=1)}
        return kind.model_validate({**known, **times, "identifier": self.identifier, "run": run, **fields})

    def access_revoked(self, run: int) -> AccessRevoked:
        """What user-syncer says once nobody has access."""
        return AccessRevoked(identifier=self.identifier, run=run)

    async def call_out(self, handle: Any, event: Any, *, attempt: int = 1) -> list[Any]:
        """Runs a handler that calls the cloud; what it sent."""
        work = Work(self.database, str(uuid_utils.uuid7()), attempt=attempt)
        await handle(event, work=work, provisioner=self.provisioner)
        return await self.sent()

    async def write(self, handle: Any, *arguments: Any) -> list[Any]:
        """Runs a handler that only writes the database; what it returned."""
        async with self.database.transaction() as tx:
            return list(await handle(*arguments, tx=tx) or ())

    async def sent(self) -> list[Any]:
        """The events in the outbox, taken out of it."""
        async with self.database.transaction() as tx:
            rows = sorted((await tx.execute(SENT)).all())
        return [each.data for row in rows for each in unpack(bytes(row.body), row.content_type, TYPES)]

    async def row(self) -> Any:
        """The link as it is stored."""
        return (await self.database.execute(ROW, {"identifier": self.identifier})).one()

    async def change(self, assignments: str) -> None:
        """Sets columns as time or another worker would have."""
        async with self.database.transaction() as tx:
            change = f"UPDATE links SET {assignments} WHERE identifier = :identifier"  # noqa: S608 - a test's own words
            await tx.execute(change, {"identifier": self.identifier})
