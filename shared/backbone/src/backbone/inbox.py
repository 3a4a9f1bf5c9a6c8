"""The inbox: a message is claimed in the transaction that does its work, so it counts once however often it comes."""

from collections.abc import Sequence

from backbone.database import Database, Transaction

CLAIM = (
    "WITH claimed AS (INSERT INTO inbox (message_id) SELECT unnest(CAST(:ids AS uuid[]))"
    " ON CONFLICT DO NOTHING RETURNING message_id)"
    " SELECT now() AS time, array(SELECT message_id::text FROM claimed) AS claimed"
)
AT_ONCE = 5000
"""Claims that one statement deletes."""
FORGET = (
    "DELETE FROM inbox WHERE message_id IN (SELECT message_id FROM inbox"
    " WHERE received_at < now() - make_interval(days => :days) LIMIT :at_once)"
)


async def claim(tx: Transaction, message_ids: Sequence[str]) -> set[str]:
    """Which of these messages come for the first time; also brings the transaction's time."""
    row = (await tx.execute(CLAIM, {"ids": sorted(message_ids)})).one()
    tx.now = row.time
    return set(row.claimed)


async def forget(database: Database, days: int) -> None:
    """Deletes claims older than ``days``, in batches; a copy that comes later than that is handled anew."""
    deleted = AT_ONCE
    while deleted == AT_ONCE:
        deleted = (await database.execute(FORGET, {"days": days, "at_once": AT_ONCE})).rowcount
