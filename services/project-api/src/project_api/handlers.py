"""What project-api does about the events of others: a project whose link was removed on the cloud is gone."""

from collections.abc import Mapping, Sequence
from typing import Any

import structlog
from backbone.database import Transaction
from backbone.handlers import Handler
from contracts.events import Event, LinkRemoved

from project_api.parts import Parts

log = structlog.get_logger()

FORGET = (
    "WITH gone AS (DELETE FROM projects WHERE identifier = :identifier AND run = :run AND kind = 'remove'"
    " RETURNING identifier), people AS (DELETE FROM participants WHERE identifier = :identifier AND EXISTS"
    " (SELECT FROM gone)) SELECT identifier FROM gone"
)


async def forget_project(event: LinkRemoved, *, tx: Transaction, parts: Parts) -> Sequence[Event]:
    """The project is gone, if this is still its latest run."""
    gone = (await tx.execute(FORGET, {"identifier": event.identifier, "run": event.run})).one_or_none()
    if gone is not None:
        tx.committed.append(lambda: parts.changes.notify(event.identifier))
        log.info("project.removed", identifier=event.identifier, run=event.run)
    return ()


HANDLERS: Mapping[type[Any], Handler] = {LinkRemoved: Handler(forget_project)}
