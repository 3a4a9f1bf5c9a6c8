"""Which chunk is taken next, and by whom it may be changed: on a real database."""

import asyncio
from collections import Counter

import pytest
from backbone.leases import LeaseLost
from user_syncer import chunks
from user_syncer.model import Chunk
from user_syncer.testing import Project, Replica, linked_project


async def planned(replica: Replica, tenant_id: int | None, users: int, region: str = "here") -> Project:
    """A project whose chunks (of three users) all wait."""
    project = await linked_project(replica, tenant_id)
    replica.fill()
    await project.start(users=users)
    replica.empty()
    if region != "here":
        await replica.run(
            "UPDATE chunks SET region = :region WHERE identifier = :i", region=region, i=project.identifier
        )
    return project


async def take(replica: Replica, *closed: str) -> Chunk | None:
    """Takes one, in a transaction of its own."""
    async with replica.database.transaction() as tx:
        taken = await chunks.take(tx, 1, 60, closed)
    return taken[0] if taken else None


async def test_a_flood_does_not_starve_another_tenant(replica: Replica) -> None:
    """Whoever comes after a flood is served next, not last."""
    await planned(replica, tenant_id=1, users=300)
    late = await planned(replica, tenant_id=2, users=3)
    first, second = await take(replica), await take(replica)
    assert first is not None
    assert second is not None
    assert late.identifier in {first.identifier, second.identifier}


async def test_the_tenant_with_the_fewest_in_hand_is_served(replica: Replica) -> None:
    """Three tenants with as much to do share the workers evenly, those without a tenant being one of them."""
    for tenant_id in (1, 2, None):
        await planned(replica, tenant_id, users=30)
    taken = [await take(replica) for _ in range(9)]
    assert Counter(chunk.tenant_id for chunk in taken if chunk) == {1: 3, 2: 3, None: 3}


async def test_many_who_take_at_once_get_different_chunks(replica: Replica) -> None:
    """A locked row is passed over, not waited for."""
    await planned(replica, tenant_id=1, users=24)
    taken = await asyncio.gather(*(take(replica) for _ in range(8)))
    assert len({chunk.id for chunk in taken if chunk}) == 8
    assert await take(replica) is None


async def test_taking_several_is_as_fair_as_one_by_one(replica: Replica) -> None:
    """What a tenant gets of one taking counts against its next chunk."""
    for tenant_id, users in ((1, 300), (2, 6), (3, 30)):
        await planned(replica, tenant_id, users)
    async with replica.database.transaction() as tx:
        taken = await chunks.take(tx, 6, 60)
    assert Counter(chunk.tenant_id for chunk in taken) == {1: 2, 2: 2, 3: 2}


async def test_chunks_of_plans_stored_together_stand_behind_each_other(replica: Replica) -> None:
    """Ten small projects of a tenant that are planned at once have no ten first places."""
    projects = [await linked_project(replica, 1) for _ in range(3)]
    replica.fill()
    await asyncio.gather(*(project.start(users=6) for project in projects))
    turns = [row.turn for row in await replica.run("SELECT turn FROM chunks")]
    assert len(set(turns)) == 6


async def test_closed_regions_are_passed_over(replica: Replica) -> None:
    """A region that is paused or full holds nobody up."""
    await planned(replica, tenant_id=1, users=300)
    other = await planned(replica, tenant_id=1, users=3, region="there")
    chunk = await take(replica, "here")
    assert chunk is not None
    assert chunk.identifier == other.identifier
    assert await take(replica, "here") is None


async def test_what_waits_is_not_taken_before_its_time(replica: Replica) -> None:
    """Neither is a leased one before its lease has run out."""
    await planned(replica, tenant_id=1, users=3)
    await replica.run("UPDATE chunks SET not_before = now() + interval '1 minute'")
    assert await take(replica) is None
    await replica.run("UPDATE chunks SET not_before = now(), lease_until = now() + interval '1 minute'")
    assert await take(replica) is None
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    assert await take(replica) is not None


async def test_a_repeat_looks_for_keys_first(replica: Replica) -> None:
    """Whoever had it before may have issued keys that nobody knows."""
    await planned(replica, tenant_id=1, users=1)
    first = await take(replica)
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    second = await take(replica)
    assert first is not None
    assert second is not None
    assert (first.orders[0].change.keys.look, second.orders[0].change.keys.look) == (False, True)


async def test_only_the_holder_changes_a_chunk(replica: Replica) -> None:
    """A fence that was raised meanwhile refuses the record."""
    await planned(replica, tenant_id=1, users=3)
    stale = await take(replica)
    assert stale is not None
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    assert await take(replica) is not None
    async with replica.database.transaction() as tx:
        assert await chunks.done(tx, [stale]) == set()
        with pytest.raises(LeaseLost):
            await chunks.cut(tx, stale, ())


async def test_a_deep_backlog_is_taken_from_by_index(replica: Replica) -> None:
    """Taking one of ten thousand reads a few pages, whoever planned them."""
    await planned(replica, tenant_id=1, users=3)
    await replica.run(
        "INSERT INTO chunks (id, identifier, run, kind, tenant_id, region, provider_project_id, deadline_at, turn,"
        " orders) SELECT id || n, identifier, run, kind, n % 50, region, provider_project_id, deadline_at, n, orders"
        " FROM chunks, generate_series(1, 10000) AS n"
    )
    plan = await replica.run("EXPLAIN (ANALYZE, BUFFERS, FORMAT TEXT) " + chunks.TAKE, number=1, seconds=60, closed=[])
    assert any("chunks_turn" in row[0] for row in plan)
