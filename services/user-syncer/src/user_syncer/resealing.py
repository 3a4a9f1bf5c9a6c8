"""`user-syncer reseal`: seals every stored secret under the newest key, while the service goes on."""

from typing import Any

import structlog
from backbone.database import Database
from clouds.vault import SealedFor, Vault, VaultError

log = structlog.get_logger()

BATCH = 500

OLD = (
    "SELECT m.identifier, m.user_id, m.key_id, m.sealed_secret, r.tenant_id FROM member_records AS m"
    " JOIN runs AS r USING (identifier) WHERE m.sealed_secret IS NOT NULL"
    " AND substring(m.sealed_secret FROM 1 FOR :length) <> :prefix"
    " AND (m.identifier, m.user_id) > (:identifier, CAST(:user_id AS bigint))"
    " ORDER BY m.identifier, m.user_id LIMIT :batch"
)
# A secret that a run has replaced meanwhile is sealed under the newest key already, and is left alone.
RESEAL = (
    "UPDATE member_records AS m SET sealed_secret = new.sealed FROM unnest(CAST(:identifiers AS text[]),"
    " CAST(:user_ids AS bigint[]), CAST(:olds AS bytea[]), CAST(:news AS bytea[]))"
    " AS new (identifier, user_id, old, sealed) WHERE m.identifier = new.identifier AND m.user_id = new.user_id"
    " AND m.sealed_secret = new.old"
)


async def reseal(database: Database, vault: Vault) -> int:
    """How many secrets could not be opened, which are named in the log and stay; 0 means that the old keys may go."""
    prefix = vault.newest_prefix
    identifier, user_id, resealed, unopened = "", 0, 0, 0
    while True:
        async with database.transaction() as tx:
            about = {"prefix": prefix, "length": len(prefix), "batch": BATCH}
            rows = (await tx.execute(OLD, {**about, "identifier": identifier, "user_id": user_id})).all()
            news = [_resealed(vault, row) for row in rows]
            done = [(row, new) for row, new in zip(rows, news, strict=True) if new is not None]
            await tx.execute(
                RESEAL,
                {
                    "identifiers": [row.identifier for row, _ in done],
                    "user_ids": [row.user_id for row, _ in done],
                    "olds": [row.sealed_secret for row, _ in done],
                    "news": [new for _, new in done],
                },
            )
        resealed, unopened = resealed + len(done), unopened + len(rows) - len(done)
        if len(rows) < BATCH:
            # Not `resealed`: the log strikes out every field whose name has `sealed` in it.
            log.info("secrets.resealed", renewed=resealed, unopened=unopened)
            return unopened
        identifier, user_id = rows[-1].identifier, rows[-1].user_id


def _resealed(vault: Vault, row: Any) -> bytes | None:
    try:
        return vault.reseal(bytes(row.sealed_secret), SealedFor(row.tenant_id, row.user_id, row.key_id))
    except VaultError as error:
        log.error("secret.not_resealed", identifier=row.identifier, user_id=row.user_id, error=str(error))
        return None
