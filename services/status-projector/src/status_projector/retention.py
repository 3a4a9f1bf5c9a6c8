"""What is left of a project that was removed goes too, after a while."""

import structlog
from backbone.database import Database
from sqlalchemy import text

log = structlog.get_logger()

AT_ONCE = 20
"""Projects a round, each whole: a log that lacks its beginning could not be folded again."""

FORGET = text(
    "WITH gone AS MATERIALIZED (SELECT identifier FROM project_status WHERE kind = 'remove' AND finished"
    " AND status = 'suspended' AND completed_at < now() - make_interval(days => :days)"
    " ORDER BY completed_at LIMIT :at_once FOR UPDATE SKIP LOCKED),"
    " users AS (DELETE FROM user_status WHERE identifier IN (SELECT identifier FROM gone)),"
    " log AS (DELETE FROM events WHERE identifier IN (SELECT identifier FROM gone))"
    " DELETE FROM project_status WHERE identifier IN (SELECT identifier FROM gone)"
)


async def forget_removed(database: Database, days: int) -> None:
    """Deletes log and read model of projects removed more than ``days`` ago, some of them a call."""
    async with database.transaction() as tx:
        projects = (await tx.execute(FORGET, {"days": days, "at_once": AT_ONCE})).rowcount
    if projects:
        log.info("projects.forgotten", projects=projects)
