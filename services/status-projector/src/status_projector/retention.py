"""What is left of a project that was removed goes too, after a while, and so does what was told of an orphan."""

import structlog
from backbone.database import Database

log = structlog.get_logger()

AT_ONCE = 20
"""Projects a statement, each whole: a log that lacks its beginning could not be folded again."""


def _forget(which: str, since: str) -> str:
    return (
        f"WITH gone AS MATERIALIZED (SELECT identifier FROM project_status WHERE {which}"  # noqa: S608 - our own words
        f" AND {since} < now() - make_interval(days => :days) ORDER BY {since} LIMIT :at_once FOR UPDATE SKIP LOCKED),"
        " users AS (DELETE FROM user_status WHERE identifier IN (SELECT identifier FROM gone)),"
        " log AS (DELETE FROM events WHERE identifier IN (SELECT identifier FROM gone))"
        " DELETE FROM project_status WHERE identifier IN (SELECT identifier FROM gone) RETURNING identifier"
    )


FORGET_REMOVED = _forget("kind = 'remove' AND finished AND status = 'suspended'", "completed_at")
FORGET_ORPHANS = _forget("run = 0", "updated_at")


async def forget_removed(database: Database, days: int) -> None:
    """Deletes log and read model of projects removed and orphans found more than ``days`` ago."""
    for statement in (FORGET_REMOVED, FORGET_ORPHANS):
        projects = AT_ONCE
        while projects == AT_ONCE:
            projects = (await database.execute(statement, {"days": days, "at_once": AT_ONCE})).rowcount
            if projects:
                log.info("projects.forgotten", projects=projects)
