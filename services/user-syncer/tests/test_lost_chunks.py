"""Chunks that are lost on the way: dead workers, lost leases, newer runs. Nothing is doubled, and no place is kept."""

import asyncio
from typing import Any

import pytest
from cloud_simulator.testing import RunningSimulator
from contracts.events import ProvisioningRequested, UserSynced
from user_syncer import chunks
from user_syncer.testing import Project, Replica, linked_project, map_events


async def test_a_dead_workers_chunk_is_repeated_without_double_effects(
    make_replica: Any, simulator: RunningSimulator
) -> None:
    """Keys that the dead worker issued are strays: they are revoked before new ones are issued."""
    dead, alive = make_replica(), make_replica()
    project = await linked_project(dead)
    await project.plan_only()
    await _die_after_the_cloud(dead, alive)
    await alive.work_off()
    stats = await simulator.stats()
    assert {event.user_id for event in alive.told(UserSynced)} == {1, 2}
    assert (stats["duplicate_effects"], stats["objects"]["active_keys"]) == (0, 2)
    stored = {member.key_id for member in (await alive.members(project.identifier)).values()}
    assert {key["access_key"] for key in (await simulator.objects())["keys"]} == stored


async def test_a_worker_that_lost_its_lease_leaves_no_trace(make_replica: Any, simulator: RunningSimulator) -> None:
    """What it would record is refused, it doesn't take the other's chunk away, and its users' places are free again."""
    slow, quick = make_replica(cloud_max_in_flight=2), make_replica()
    project = await linked_project(slow)
    await project.plan_only()
    await simulator.behave(latency_ms={"user": 300})
    late = asyncio.create_task(slow.hear(next(map_events(slow.tickets()))))
    await _taken(quick)
    await quick.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    await quick.sweep.renew_tickets()
    await quick.work_off()
    await late
    assert slow.told(UserSynced) == []
    assert len(quick.told(UserSynced)) == 2
    await _settled(quick, simulator, project)
    async with asyncio.timeout(30):
        await (await linked_project(slow)).provision(users=2)


async def test_a_superseded_chunk_stops_and_is_forgotten(make_replica: Any, simulator: RunningSimulator) -> None:
    """The newer run needs not wait for the lease's end once the worker has stopped."""
    worker, other = make_replica(lease_seconds=1), make_replica()
    project = await linked_project(worker)
    await project.plan_only()
    await simulator.behave(latency_ms={"user": 300})
    late = asyncio.create_task(worker.hear(next(map_events(worker.tickets()))))
    await _taken(other)
    await other.hear(project.command(ProvisioningRequested, run=2, users=2, reason="provision"))
    await late
    assert worker.told(UserSynced) == []
    assert await other.run("SELECT id FROM chunks") == []


async def test_a_chunk_with_more_users_than_places_can_be_lost(make_replica: Any, simulator: RunningSimulator) -> None:
    """Whose turn has not come leaves the line when the chunk is lost, and the region's places are free again."""
    worker, other = make_replica(cloud_max_in_flight=1, chunk_size=6), make_replica()
    project = await linked_project(worker)
    await project.plan_only(users=6)
    await simulator.behave(latency_ms={"user": 300})
    late = asyncio.create_task(worker.hear(next(map_events(worker.tickets()))))
    await _taken(other)
    await other.hear(project.command(ProvisioningRequested, run=2, users=6, reason="provision"))
    async with asyncio.timeout(20):
        await late
        await (await linked_project(worker)).provision(users=6)
    assert len(worker.told(UserSynced)) == 6


async def test_a_chunk_lost_while_it_begins_more_leaves_nothing_in_hand(
    make_replica: Any, hold: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record took longer than the lease: what was to be revoked after it is dropped before it has stood in line."""
    replica = make_replica(cloud_max_in_flight=1)
    project = await linked_project(replica)
    await project.provision(users=2)
    await project.plan_only(ProvisioningRequested, run=2, users=2, reason="sync", redo=(1, 2))
    held, insist = hold(replica, 2), replica.database.insist

    async def late(*args: Any, **about: Any) -> None:
        await insist(*args, **about)
        for lease in replica.syncer.leases._held.values():
            lease.lose()
        held.set()
        await asyncio.sleep(0.1)

    monkeypatch.setattr(replica.database, "insist", late)
    await replica.hear(next(map_events(replica.tickets())))
    assert replica.capacity.full() == set()


async def _taken(replica: Replica) -> None:
    """Returns once a worker has the chunk, and is at its calls."""
    while not await replica.run("SELECT id FROM chunks WHERE lease_until > now()"):  # noqa: ASYNC110 - another's commit
        await asyncio.sleep(0.01)


async def _die_after_the_cloud(dead: Replica, alive: Replica) -> None:
    """The worker's last breath is after its calls and before its record: the lease runs out, nothing is stored."""
    async with dead.database.transaction() as tx:
        (chunk,) = await chunks.take(tx, 1, 60)
    assert chunk is not None
    cloud = dead.clouds.open("here")
    for order in chunk.orders:
        await cloud.sync_user(chunk.provider_project_id, order.change)
    await alive.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    await alive.sweep.renew_tickets()


async def _settled(replica: Replica, simulator: RunningSimulator, project: Project) -> None:
    stored = {member.key_id for member in (await replica.members(project.identifier)).values()}
    assert {key["access_key"] for key in (await simulator.objects())["keys"]} >= stored
