"""Keys and tickets that are lost, and found again by the sweep."""

from typing import Any

import pytest
import structlog
from cloud_simulator.testing import RunningSimulator
from clouds.errors import Forbidden
from clouds.naming import cloud_user_name
from clouds.port import CloudUser, KeyChange, UserChange
from contracts.events import (
    AccessRevoked,
    ProvisioningCancelled,
    ProvisioningRequested,
    RemovalRequested,
    SuspensionRequested,
    UserSynced,
)
from user_syncer import chunks, metrics, runs
from user_syncer.model import Chunk, Plan
from user_syncer.orders import Order
from user_syncer.testing import Project, Replica, people


class Died(BaseException):
    """No handler may catch a process's end."""


async def taken(replica: Replica) -> Chunk:
    """A chunk in the hands of a worker that will not live to record it."""
    async with replica.database.transaction() as tx:
        (chunk,) = await chunks.take(tx, 1, 60)
    assert chunk is not None
    return chunk


async def planned(replica: Replica, project: Project, users: int = 2, **more: Any) -> None:
    """A run whose chunks all wait."""
    replica.fill()
    await project.start(users=users, **more)
    replica.empty()


async def live_keys(simulator: RunningSimulator) -> set[str]:
    """On the cloud."""
    return {key["access_key"] for key in (await simulator.objects())["keys"]}


async def stored_keys(replica: Replica, project: Project) -> set[str]:
    """With a sealed secret."""
    return {m.key_id for m in (await replica.members(project.identifier)).values() if m.sealed_secret is not None}


async def dies_unrecorded(replica: Replica, project: Project) -> None:
    """A worker has done all its calls and records nothing; the run is cancelled, and the worker's lease is over."""
    await planned(replica, project)
    chunk = await taken(replica)
    for order in chunk.orders:
        await replica.clouds.open("here").sync_user(chunk.provider_project_id, order.change)
    await replica.hear(project.command(ProvisioningCancelled, run=2, cancelled_by="admin"))
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")


async def swept(replica: Replica) -> None:
    """A round of each sweep, and what follows."""
    await replica.run("UPDATE runs SET swept_at = NULL")
    await replica.run("UPDATE member_records SET updated_at = now() - interval '61 s'")
    await replica.sweep.renew_tickets()
    await replica.sweep.look_for_keys()
    await replica.work_off()


async def test_a_key_that_was_issued_and_never_stored_is_revoked(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """A worker dies between issue and store, and the run is cancelled: no live key without its stored secret."""
    await dies_unrecorded(replica, project)
    assert len(await live_keys(simulator)) == 2
    await swept(replica)
    assert await live_keys(simulator) == await stored_keys(replica, project) == set()
    assert await replica.run("SELECT * FROM members WHERE may_have_issued") == []


@pytest.mark.parametrize("dies", ["after issue", "after store", "after revoke"])
async def test_a_rotation_that_dies_leaves_one_stored_key(
    replica: Replica, project: Project, simulator: RunningSimulator, dies: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At each step: after the sweep every live key is stored, and one per user is left."""
    await project.provision(users=2)
    await planned(replica, project, kind=ProvisioningRequested, run=2, reason="user-sync", redo=[1, 2])
    cloud = replica.clouds.open("here")
    if dies == "after issue":
        chunk = await taken(replica)
        for order in chunk.orders:
            await cloud.sync_user(chunk.provider_project_id, order.change)
    else:
        settle = cloud.settle_user

        async def dead(*order: Any) -> None:
            if dies == "after revoke":
                await settle(*order)
            raise Died

        with monkeypatch.context() as patch:
            patch.setattr(cloud, "settle_user", dead)
            with pytest.raises(Died):
                await replica.work_off()
    assert len(await live_keys(simulator)) <= 2 * 2, "two a user at the most"
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    await swept(replica)
    assert await live_keys(simulator) == await stored_keys(replica, project)
    assert len(await live_keys(simulator)) == 2
    assert (await simulator.stats())["duplicate_effects"] == 0
    assert {event.user_id for event in replica.told(UserSynced) if event.run == 2} == {1, 2}


async def test_a_key_that_the_cloud_makes_late_is_revoked(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """A dead worker's request is carried out after its chunk was repeated: the sweep looks again, a while later."""
    await planned(replica, project)
    await taken(replica)
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    await replica.sweep.renew_tickets()
    await replica.work_off()
    members = await replica.members(project.identifier)
    assert all(each.state == "synced" and each.may_have_issued for each in members.values())
    cloud: Any = replica.clouds.open("here")
    run = await replica.run("SELECT provider_project_id FROM runs")
    user = CloudUser(str(members[1].provider_user_id), cloud_user_name(members[1].email))
    await cloud.issue_key(run[0].provider_project_id, user)
    await replica.sweep.look_for_keys()
    await replica.work_off()
    assert len(await live_keys(simulator)) == 3, "too early to be certain of anything"
    await swept(replica)
    assert await live_keys(simulator) == await stored_keys(replica, project)
    assert await replica.run("SELECT * FROM members WHERE may_have_issued") == []
    assert {event.user_id for event in replica.told(UserSynced)} == {1, 2}


async def test_a_dead_workers_chunk_gets_a_ticket_again(replica: Replica, project: Project) -> None:
    """Once its lease has run out, and not before."""
    await planned(replica, project)
    replica.tickets()
    await taken(replica)
    await replica.sweep.renew_tickets()
    assert replica.tickets() == []
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    await replica.sweep.renew_tickets()
    assert len(replica.tickets()) == 1
    await replica.sweep.renew_tickets()
    assert replica.tickets() == []


async def test_an_old_ticket_is_taken_for_lost(replica: Replica, project: Project) -> None:
    """A wiped broker has none left."""
    await planned(replica, project)
    replica.tickets()
    await replica.run("UPDATE chunks SET ticketed_at = now() - interval '61 s'")
    await replica.sweep.renew_tickets()
    assert len(replica.tickets()) == 1


async def test_a_project_with_open_chunks_is_not_swept(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """What is under way is no stray; once nothing is, the same members are looked at."""
    await project.provision(users=2)
    everybody = [each.user_id for each in people(2)]
    await planned(replica, project, kind=ProvisioningRequested, run=2, redo=everybody, reason="user-sync")
    await replica.run("UPDATE member_records SET may_have_issued = true, updated_at = now() - interval '61 s'")
    await replica.run("UPDATE runs SET swept_at = NULL")
    calls = (await simulator.stats())["calls"]["total"]
    await replica.sweep.look_for_keys()
    assert (await simulator.stats())["calls"]["total"] == calls
    await replica.run("DELETE FROM chunks")
    await replica.sweep.look_for_keys()
    assert (await simulator.stats())["calls"]["total"] > calls


async def test_nothing_is_certain_where_a_newer_run_came_while_the_cloud_was_read(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The newer run's attempt was stopped without a known end: its key may come after the reading."""
    await project.provision(users=2)
    await replica.run("UPDATE member_records SET may_have_issued = true, updated_at = now() - interval '61 s'")
    cloud: Any = replica.clouds.open("here")
    read = cloud.read_snapshot

    async def read_slowly(*given: Any) -> Any:
        found = await read(*given)
        monkeypatch.setattr(cloud, "read_snapshot", read)
        await planned(replica, project, kind=ProvisioningRequested, run=2, redo=[1, 2], reason="user-sync")
        await taken(replica)
        await replica.hear(project.command(ProvisioningCancelled, run=3, cancelled_by="admin"))
        return found

    monkeypatch.setattr(cloud, "read_snapshot", read_slowly)
    await replica.sweep.look_for_keys()
    assert [each.may_have_issued for each in (await replica.members(project.identifier)).values()] == [True, True]


async def test_a_look_for_keys_does_not_end_a_suspension_twice(replica: Replica, project: Project) -> None:
    """Its chunk is none of the plan's: whoever asks for the suspension again is told that access is gone."""
    await project.provision(users=1)
    await replica.hear(project.command(SuspensionRequested, run=2, users=1))
    await replica.work_off()
    run = await runs.read(replica.database, project.identifier)
    assert run is not None
    account = (await replica.members(project.identifier))[1].provider_user_id
    stray = UserChange(1, "user1@example.org", account, keys=KeyChange(strays=("late",)))
    parts = ((Order(stray, "user1@example.org", quiet=True),),)
    async with replica.database.transaction() as tx:
        await chunks.insert(tx, Plan(run, project.provider_project_id, parts, "sweep"))
    await replica.hear(run.ticket(users=1))
    assert await replica.run("SELECT FROM chunks") == []
    told = len(replica.told(AccessRevoked))
    await replica.hear(project.command(SuspensionRequested, run=2, users=1))
    assert (told, len(replica.told(AccessRevoked))) == (1, 2)


async def test_a_failed_user_is_certain_after_the_sweep(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Whoever has no unknown key needs no further look."""
    await simulator.behave(fail_emails=["user1@example.org"])
    await project.provision(users=2)
    assert (await replica.members(project.identifier))[1].may_have_issued
    await swept(replica)
    assert not (await replica.members(project.identifier))[1].may_have_issued
    assert (await replica.members(project.identifier))[1].state == "failed"


async def test_a_removed_project_is_forgotten_in_time(replica: Replica, project: Project) -> None:
    """A month after nobody had access any more; until then, and while somebody has, it is remembered."""
    await project.provision(users=2)
    await replica.run("UPDATE runs SET planned_at = now() - interval '40 days'")
    await replica.sweep.forget_removed()
    assert len(await replica.members(project.identifier)) == 2
    await replica.hear(project.command(RemovalRequested, run=2))
    await replica.work_off()
    await replica.sweep.forget_removed()
    assert len(await replica.members(project.identifier)) == 2
    await replica.run("UPDATE runs SET planned_at = now() - interval '40 days'")
    await replica.sweep.forget_removed()
    assert await replica.run("SELECT identifier FROM runs UNION ALL SELECT identifier FROM member_records") == []


async def test_a_key_that_the_cloud_makes_late_is_revoked_though_a_newer_run_came(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """The newer run has read the keys before; what the older one asked for may be carried out after."""
    await planned(replica, project)
    await taken(replica)
    await replica.hear(project.command(ProvisioningRequested, run=2, reason="retry"))
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    replica.empty()
    await replica.hear(project.linked(2))
    await replica.work_off()
    members = await replica.members(project.identifier)
    assert {each.state for each in members.values()} == {"synced"}
    (run,) = await replica.run("SELECT provider_project_id FROM runs")
    user = CloudUser(str(members[1].provider_user_id), cloud_user_name(members[1].email))
    cloud: Any = replica.clouds.open("here")
    await cloud.issue_key(run.provider_project_id, user)
    assert len(await live_keys(simulator)) == 3
    await swept(replica)
    assert await live_keys(simulator) == await stored_keys(replica, project)
    assert await replica.run("SELECT * FROM members WHERE may_have_issued") == []


async def test_a_key_that_the_cloud_makes_late_is_revoked_though_its_user_has_left(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Else it would work once its user is back; the user stays revoked, and nobody is told of them again."""
    await planned(replica, project)
    await taken(replica)
    who: dict[str, Any] = {"participants": people(1, first=2), "removed": people(1)}
    await replica.hear(project.command(ProvisioningRequested, run=2, reason="members", **who))
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    replica.empty()
    await replica.hear(project.linked(2))
    await replica.work_off()
    (run,) = await replica.run("SELECT provider_project_id FROM runs")
    cloud: Any = replica.clouds.open("here")
    user = await cloud.ensure_user(cloud_user_name(people(1)[0].email))
    await cloud.issue_key(run.provider_project_id, user)
    assert await live_keys(simulator) != await stored_keys(replica, project)
    told = len(replica.told(UserSynced))
    await swept(replica)
    assert await live_keys(simulator) == await stored_keys(replica, project)
    members = await replica.members(project.identifier)
    assert {user_id: each.state for user_id, each in members.items()} == {1: "revoked", 2: "synced"}
    assert await replica.run("SELECT * FROM members WHERE may_have_issued") == []
    assert len(replica.told(UserSynced)) == told


async def test_what_the_cloud_refuses_to_take_is_told_to_operators(
    replica: Replica, project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No page waits for word of it, so the log and a counter say it, each time that the sweep has tried."""
    await dies_unrecorded(replica, project)
    cloud: Any = replica.clouds.open("here")

    async def refuse(*_: Any) -> None:
        raise Forbidden("The cloud answered 403.")

    monkeypatch.setattr(cloud, "revoke_key", refuse)
    before = metrics.UNTAKEN._value.get()
    with structlog.testing.capture_logs() as lines:
        await swept(replica)
    told = {(line["user_id"], line["error"]) for line in lines if line["event"] == "access.not_taken"}
    assert told == {(1, "The cloud answered 403."), (2, "The cloud answered 403.")}
    assert metrics.UNTAKEN._value.get() - before == 2


async def test_keys_are_looked_for_after_the_runs_deadline_too(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """The deadline may be what left them; the look has a time of its own."""
    await dies_unrecorded(replica, project)
    await replica.run("UPDATE runs SET deadline_at = now() - interval '1 s'")
    await swept(replica)
    assert await live_keys(simulator) == set()
    assert await replica.run("SELECT * FROM members WHERE may_have_issued") == []
