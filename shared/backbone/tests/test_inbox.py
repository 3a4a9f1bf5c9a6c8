"""Claims on messages, and their end."""

from uuid import uuid4

import pytest
from backbone import inbox
from backbone.testing import Rig


async def test_old_claims_are_forgotten_however_many(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batch by batch until none is left: a busy service claims more in a minute than one statement deletes."""
    monkeypatch.setattr(inbox, "AT_ONCE", 2)
    old, young = [str(uuid4()) for _ in range(5)], str(uuid4())
    async with rig.database.transaction() as tx:
        assert await inbox.claim(tx, [*old, young]) == {*old, young}
        await tx.execute(
            "UPDATE inbox SET received_at = now() - interval '8 days' WHERE message_id = ANY(CAST(:ids AS uuid[]))",
            {"ids": old},
        )
    await inbox.forget(rig.database, days=7)
    async with rig.database.transaction() as tx:
        assert await inbox.claim(tx, [*old, young]) == set(old)
