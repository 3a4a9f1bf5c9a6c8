"""The read model folded again from the log, with the same bytes as it was folded from deliveries.

A batch of projects at a time, each under the same row locks as a running projector takes: that one waits for a batch
at most, a reader sees a project before or after and never without, and an interrupted rebuild is simply run again.
"""

from collections.abc import Sequence

import structlog
from backbone.database import Database, Transaction
from contracts.events import RECORDED

from status_projector import tables
from status_projector.facts import Known, Mark, fold, recount

log = structlog.get_logger()

AT_ONCE = 100
"""Projects in one transaction."""

TYPES = {kind.__name__: kind for kind in RECORDED}

NEXT = (
    "(SELECT DISTINCT identifier FROM events WHERE identifier > :after ORDER BY identifier LIMIT :at_once)"
    " UNION (SELECT identifier FROM project_status WHERE identifier > :after ORDER BY identifier LIMIT :at_once)"
    " ORDER BY identifier LIMIT :at_once"
)
LOGGED = (
    "SELECT event_id::text, identifier, type, version, time, data::text FROM events"
    " WHERE identifier = ANY(CAST(:identifiers AS text[]))"
)
FORGET_USERS = "DELETE FROM user_status WHERE identifier = ANY(CAST(:identifiers AS text[]))"
FORGET_PROJECTS = "DELETE FROM project_status WHERE identifier = ANY(CAST(:identifiers AS text[]))"


async def rebuild(database: Database) -> int:
    """Folds every project again; returns how many there are."""
    projects, after = 0, ""
    while True:
        async with database.transaction() as tx:
            identifiers = list((await tx.execute(NEXT, {"after": after, "at_once": AT_ONCE})).scalars())
            if not identifiers:
                break
            await _fold_again(tx, identifiers)
        projects, after = projects + len(identifiers), identifiers[-1]
    log.info("status.rebuilt", projects=projects)
    return projects


async def _fold_again(tx: Transaction, identifiers: Sequence[str]) -> None:
    given = {"identifiers": identifiers}
    await tables.lock(tx, identifiers)
    projects = {identifier: Known() for identifier in identifiers}
    async for row in tx.stream(LOGGED, given):
        event = tables.logged(TYPES[row.type], row.version, row.data)
        fold(projects[row.identifier], event, Mark(row.time, row.event_id))
    for known in projects.values():
        if known.recount:
            recount(known, known.users.values())
    await tx.execute(FORGET_USERS, given)
    await tx.execute(FORGET_PROJECTS, {"identifiers": [each for each, known in projects.items() if not known.facts]})
    await tables.save(tx, {each: known for each, known in projects.items() if known.facts})
