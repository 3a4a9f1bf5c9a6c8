import asyncio
import time
from collections.abc import AsyncIterator

import pytest
from backbone.leases import Lease, LeaseKeeper, LeaseLost
from backbone.testing import LOCK_WAITS, Rig


def lease(*, asked: float = 0, seconds: float = 15) -> Lease:
    """One that was asked for ``asked`` seconds ago."""
    return Lease("P1", 1, seconds, time.monotonic() - asked)


def test_a_fresh_lease_lets_write() -> None:
    """Nothing is raised."""
    lease().check()


def test_a_lease_ends_by_the_holders_own_clock() -> None:
    """It counts from when it was asked for: a process that froze right after it was granted has no right left."""
    with pytest.raises(LeaseLost, match="P1"):
        lease(asked=16).check()


def test_a_renewal_counts_from_when_it_was_asked_for() -> None:
    """So the holder stops before the database would let another one in."""
    held = lease(asked=16)
    held.renewed(time.monotonic() - 5)
    held.check()
    held.renewed(time.monotonic() - 15)
    with pytest.raises(LeaseLost):
        held.check()


def test_a_lost_lease_stays_lost() -> None:
    """No renewal brings it back."""
    held = lease()
    held.lose()
    held.renewed(time.monotonic())
    with pytest.raises(LeaseLost):
        held.check()


@pytest.fixture
async def keeper(rig: Rig) -> AsyncIterator[LeaseKeeper]:
    """On a table of two rows whose leases have a second left."""
    async with rig.database.transaction() as tx:
        await tx.execute("CREATE TABLE things (key text PRIMARY KEY, fence bigint, lease_until timestamptz)")
        await tx.execute(
            "INSERT INTO things SELECT key, 1, now() + interval '1 s' FROM unnest(ARRAY['P1', 'P2']) AS key"
        )
    yield LeaseKeeper(rig.database, "things", "key", 15)
    async with rig.database.transaction() as tx:
        await tx.execute("DROP TABLE things")


async def test_what_is_held_is_renewed(rig: Rig, keeper: LeaseKeeper) -> None:
    """In the database and by the holder's clock; a row that is not held runs out."""
    with keeper.hold("P1", 1, time.monotonic() - 14.9) as held:
        await keeper.renew()
        left = dict(await rig.rows("SELECT key, extract(epoch FROM lease_until - now())::float FROM things"))
        assert left["P1"] > 10
        assert left["P2"] <= 1
        held.check()


async def test_a_raised_fence_ends_the_lease_of_whoever_held_it(rig: Rig, keeper: LeaseKeeper) -> None:
    """The next renewal notices, and the other's lease is not touched by it."""
    with keeper.hold("P1", 1) as mine, keeper.hold("P2", 1) as other:
        async with rig.database.transaction() as tx:
            await tx.execute("UPDATE things SET fence = 2 WHERE key = 'P1'")
        await keeper.renew()
        with pytest.raises(LeaseLost):
            mine.check()
        other.check()
    assert await rig.rows("SELECT 1 FROM things WHERE key = 'P1' AND lease_until < now() + interval '2 s'")


async def test_what_was_given_back_is_not_renewed(rig: Rig, keeper: LeaseKeeper) -> None:
    """After the block nobody holds it."""
    with keeper.hold("P1", 1):
        pass
    await keeper.renew()
    assert await rig.rows("SELECT 1 FROM things WHERE key = 'P1' AND lease_until < now() + interval '2 s'")


async def test_what_is_given_back_while_it_is_renewed_stays_free(rig: Rig, keeper: LeaseKeeper) -> None:
    """The renewal waits for the row, and would take it for somebody who has ended: others would wait for nobody."""
    with keeper.hold("P1", 1):
        async with rig.database.transaction() as tx:
            await tx.execute("UPDATE things SET lease_until = NULL WHERE key = 'P1'")
            renewing = asyncio.create_task(keeper.renew())
            while not await rig.rows(LOCK_WAITS):  # noqa: ASYNC110 - the database's state
                await asyncio.sleep(0.01)
    await renewing
    assert (await rig.rows("SELECT lease_until FROM things WHERE key = 'P1'"))[0].lease_until is None
