"""A changed e-mail is another account on the cloud: whatever happens on the way, one of them has access in the end."""

from typing import Any

import pytest
from backbone.leases import LeaseLost
from cloud_simulator.testing import RunningSimulator
from clouds.port import UserRecord
from contracts.events import DriftDetected, Participant, ProvisioningCancelled, ProvisioningRequested, RemovalRequested
from pydantic import TypeAdapter
from user_syncer import chunks, members
from user_syncer.drift import DriftSweep
from user_syncer.testing import Project, Replica

NEW = "ann@new.example"
OLD = "ann@old.example"


def ann(email: str) -> dict[str, Any]:
    """The one participant, under this e-mail."""
    return {"participants": (Participant(user_id=1, email=email, name="Ann", role="member"),)}


async def access(simulator: RunningSimulator) -> dict[str, tuple[int, int, int]]:
    """Numbers of grants, policies and keys of each account that has any."""
    found = await simulator.objects()
    counts = {
        user["name"]: tuple(
            sum(each["user_id"] == user["id"] for each in found[kind]) for kind in ("grants", "policies", "keys")
        )
        for user in found["users"]
    }
    return {name: three for name, three in counts.items() if any(three)}


async def dies_on_the_cloud(replica: Replica, project: Project, run: int, email: str) -> None:
    """A run whose worker has done all its calls and records nothing; then it is cancelled."""
    replica.fill()
    await project.start(ProvisioningRequested, run, **ann(email), reason="provision")
    replica.empty()
    async with replica.database.transaction() as tx:
        (chunk,) = await chunks.take(tx, 1, 60)
    assert chunk is not None
    for order in chunk.orders:
        await replica.clouds.open("here").sync_user(chunk.provider_project_id, order.change)
    await replica.hear(project.command(ProvisioningCancelled, run + 1, **ann(email), cancelled_by="admin"))
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    replica.tickets()


async def test_the_former_account_ends(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """After the new one has access."""
    await project.provision(**ann(OLD))
    await project.provision(ProvisioningRequested, 2, **ann(NEW), reason="provision")
    assert await access(simulator) == {NEW: (1, 1, 1)}


async def test_a_newer_run_ends_what_an_older_one_left(
    replica: Replica, project: Project, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The new account is stored, and the worker is stopped before it revokes the former one."""
    await project.provision(**ann(OLD))

    async def stopped(*_: Any) -> None:
        raise LeaseLost("chunk")

    with monkeypatch.context() as patch:
        patch.setattr(replica.clouds.open("here"), "settle_user", stopped)
        await project.start(ProvisioningRequested, 2, **ann(NEW), reason="provision")
    assert set(await access(simulator)) == {OLD, NEW}
    await replica.hear(project.command(ProvisioningCancelled, 3, **ann(NEW), cancelled_by="admin"))
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    replica.tickets()
    await project.provision(ProvisioningRequested, 4, **ann(NEW), reason="retry")
    assert await access(simulator) == {NEW: (1, 1, 1)}


async def test_back_to_the_old_email(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """An attempt under the new one left access there that nobody recorded; the key of the old one stays."""
    await project.provision(**ann(OLD))
    before = (await replica.members(project.identifier))[1].key_id
    await dies_on_the_cloud(replica, project, 2, NEW)
    assert await access(simulator) == {OLD: (1, 1, 1), NEW: (1, 1, 1)}
    await project.provision(ProvisioningRequested, 4, **ann(OLD), reason="retry")
    assert await access(simulator) == {OLD: (1, 1, 1)}
    assert (await replica.members(project.identifier))[1].key_id == before


async def test_others_plan_with_the_same_accounts(replica: Replica, project: Project) -> None:
    """What is published of a member names each account that our own records have beside theirs."""
    await project.provision(**ann(OLD))
    await dies_on_the_cloud(replica, project, 2, "ann@second.example")
    await dies_on_the_cloud(replica, project, 4, NEW)
    member = (await members.of_project(replica.database, project.identifier))[1]
    assert [each.email for each in member.record.former] == ["ann@second.example", NEW]
    (row,) = await replica.run("SELECT former::text FROM members")
    assert TypeAdapter(tuple[UserRecord, ...]).validate_json(row.former) == member.record.former


async def test_a_third_email_after_two_attempts(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """No attempt is forgotten for a later one."""
    await project.provision(**ann(OLD))
    await dies_on_the_cloud(replica, project, 2, "ann@second.example")
    await dies_on_the_cloud(replica, project, 4, "ann@third.example")
    await project.provision(ProvisioningRequested, 6, **ann(NEW), reason="retry")
    assert await access(simulator) == {NEW: (1, 1, 1)}


async def test_a_removal_takes_every_account(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """That of the attempt too."""
    await project.provision(**ann(OLD))
    await dies_on_the_cloud(replica, project, 2, NEW)
    await project.provision(RemovalRequested, 4, **ann(NEW))
    await replica.hear(project.command(RemovalRequested, 4, **ann(NEW)))
    await replica.work_off()
    assert await access(simulator) == {}


async def test_the_sweep_ends_what_a_failed_change_left(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Nobody need ask for a run: a cancelled change keeps the old account alone."""
    await project.provision(**ann(OLD))
    await dies_on_the_cloud(replica, project, 2, NEW)
    await replica.run("DELETE FROM chunks")
    await replica.run("UPDATE member_records SET updated_at = now() - interval '61 s'")
    await replica.sweep.look_for_keys()
    await replica.work_off()
    assert await access(simulator) == {OLD: (1, 1, 1)}
    (row,) = await replica.run("SELECT may_have_issued, former FROM member_records")
    assert (row.may_have_issued, row.former) == (False, [])


def who(user_id: int, email: str) -> Participant:
    """A participant under this e-mail."""
    return Participant(user_id=user_id, email=email, name="Ann", role="member")


async def test_a_user_made_anew_with_the_same_email_keeps_the_account(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """One run takes the old user out and lets the new one in: both are one account on the cloud, which is the new one's
    with a key of their own.
    """
    await project.provision(participants=(who(1, OLD),))
    leaving: dict[str, Any] = {"participants": (who(2, OLD),), "removed": (who(1, OLD),)}
    await project.provision(ProvisioningRequested, 2, **leaving, reason="members")
    assert await access(simulator) == {OLD: (1, 1, 1)}
    (key,) = (await simulator.objects())["keys"]
    assert key["access_key"] == (await replica.members(project.identifier))[2].key_id


async def test_an_email_that_is_handed_on_leaves_both_with_access(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """One user gets another address, and their old one goes to somebody else, in one run."""
    await project.provision(participants=(who(1, OLD), who(2, "two@old.example")))
    both = (who(1, NEW), who(2, OLD))
    await project.provision(ProvisioningRequested, 2, participants=both, reason="members")
    assert await access(simulator) == {OLD: (1, 1, 1), NEW: (1, 1, 1)}


async def test_the_sweep_leaves_an_account_to_whom_it_belongs_by_now(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """A change of e-mail failed half-way and was taken back; the new address is another participant's."""
    await project.provision(**ann(OLD))
    await simulator.behave(fail_emails=[NEW])
    await project.provision(ProvisioningRequested, 2, **ann(NEW), reason="members")
    await simulator.behave(fail_emails=[])
    both = (who(1, OLD), who(2, NEW))
    await project.provision(ProvisioningRequested, 3, participants=both, reason="members")
    await replica.run("UPDATE member_records SET updated_at = now() - interval '1 day'")
    await replica.run("UPDATE runs SET swept_at = NULL")
    await replica.sweep.look_for_keys()
    await replica.work_off()
    assert await access(simulator) == {OLD: (1, 1, 1), NEW: (1, 1, 1)}


async def test_an_account_that_was_made_anew_is_given_everything(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """An admin of the cloud deleted it, and it is there again under another id: role, policy and key went with it."""
    await project.provision(**ann(OLD))
    cloud: Any = replica.clouds.open("here")
    user = await cloud._find_user(OLD)
    await cloud._call("by_hand", "DELETE", f"/identity/users/{user.id}")
    await cloud._create_user(OLD)
    await project.provision(ProvisioningRequested, 2, **ann(OLD), reason="provision")
    assert await access(simulator) == {OLD: (1, 1, 1)}


async def test_what_the_sweep_has_still_to_look_for_is_no_drift(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """A run stopped under another e-mail, and the next has ended what it left: the cloud is as it should be."""
    await project.provision(**ann(OLD))
    await dies_on_the_cloud(replica, project, 2, NEW)
    await project.provision(ProvisioningRequested, 4, **ann(OLD), reason="retry")
    assert await access(simulator) == {OLD: (1, 1, 1)}
    await replica.run("DELETE FROM chunks")
    await DriftSweep(replica.database, replica.clouds, 0).look()
    assert replica.told(DriftDetected) == []
