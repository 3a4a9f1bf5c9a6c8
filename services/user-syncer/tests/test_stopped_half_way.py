"""What was stopped or refused half-way is neither taken for done nor for not begun."""

from typing import Any

import pytest
from cloud_simulator.testing import RunningSimulator
from clouds.errors import Invalid
from contracts.events import ProvisioningCancelled, ProvisioningRequested, RunRequested, SuspensionRequested
from user_syncer import chunks
from user_syncer.testing import Project, Replica, people

NAME = "user1@example.org"
NOBODY: dict[str, Any] = {"participants": (), "removed": people(1)}
"""The one member is taken out."""


async def access(simulator: RunningSimulator) -> tuple[int, int, int]:
    """The member's numbers of grants, policies and live keys."""
    found = await simulator.objects()
    (account,) = [user["id"] for user in found["users"] if user["name"] == NAME]
    grants, policies, keys = (
        sum(each["user_id"] == account for each in found[kind]) for kind in ("grants", "policies", "keys")
    )
    return grants, policies, keys


async def key(replica: Replica, project: Project) -> tuple[str, bool]:
    """The member's stored key, and whether its secret is there."""
    member = (await replica.members(project.identifier))[1]
    return member.key_id, member.sealed_secret is not None


async def live_keys(simulator: RunningSimulator) -> list[str]:
    """On the cloud."""
    return [each["access_key"] for each in (await simulator.objects())["keys"]]


async def ask(replica: Replica, project: Project, kind: type[RunRequested], run: int, **more: Any) -> None:
    """A run whose chunk waits."""
    replica.fill()
    await replica.hear(project.command(kind, run, **{"users": 1, **more}))
    if kind is ProvisioningRequested:
        await replica.hear(project.linked(run))
    replica.empty()


async def cancel(replica: Replica, project: Project, run: int) -> None:
    """Stops what is under way, once the lease of its worker is over."""
    await replica.hear(project.command(ProvisioningCancelled, run, users=1, cancelled_by="admin"))
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 s'")
    replica.tickets()


async def carried_out_unrecorded(replica: Replica) -> None:
    """A worker does all the calls of the chunk, and dies."""
    async with replica.database.transaction() as tx:
        (chunk,) = await chunks.take(tx, 1, 60)
    for order in chunk.orders:
        await replica.clouds.open("here").sync_user(chunk.provider_project_id, order.change)


@pytest.mark.parametrize(
    ("kind", "asked"),
    [(SuspensionRequested, {}), (ProvisioningRequested, {**NOBODY, "reason": "members"})],
    ids=["suspension", "members"],
)
async def test_access_whose_end_was_stopped_is_given_anew(
    replica: Replica, project: Project, simulator: RunningSimulator, kind: type[RunRequested], asked: dict[str, Any]
) -> None:
    """The worker may have taken all of it, and recorded nothing: role, policy and key are set up once more."""
    await project.provision(users=1)
    await ask(replica, project, kind, 2, **asked)
    await carried_out_unrecorded(replica)
    assert await access(simulator) == (0, 0, 0)
    await cancel(replica, project, 3)
    await project.provision(ProvisioningRequested, 4, users=1, reason="resume")
    assert await access(simulator) == (1, 1, 1)
    assert await key(replica, project) == (*await live_keys(simulator), True)


async def test_access_whose_end_nobody_began_stays_as_it_is(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """A credential that somebody uses is not replaced without need."""
    await project.provision(users=1)
    before = await key(replica, project)
    await ask(replica, project, SuspensionRequested, 2)
    await cancel(replica, project, 3)
    await project.provision(ProvisioningRequested, 4, users=1, reason="resume")
    assert await key(replica, project) == before
    assert await access(simulator) == (1, 1, 1)


@pytest.mark.parametrize("quiet", [False, True])
async def test_access_whose_end_was_refused_is_given_anew(
    replica: Replica, project: Project, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch, quiet: bool
) -> None:
    """The key was revoked, and then the cloud refused to take the role; whether the run names the user or not."""
    await project.provision(users=1)
    with monkeypatch.context() as patch:
        patch.setattr(replica.clouds.open("here"), "revoke_role", refused)
        if quiet:
            await ask(replica, project, ProvisioningRequested, 2, participants=(), reason="members")
        else:
            await ask(replica, project, SuspensionRequested, 2)
        await replica.work_off()
    assert await access(simulator) == (1, 1, 0)
    await project.provision(ProvisioningRequested, 3, users=1, reason="resume")
    assert await access(simulator) == (1, 1, 1)
    assert await key(replica, project) == (*await live_keys(simulator), True)


async def test_what_a_refused_attempt_had_granted_is_taken_later_too(
    replica: Replica, project: Project, simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Role and policy were given and the key refused; that no key is left says nothing of them."""
    with monkeypatch.context() as patch:
        patch.setattr(replica.clouds.open("here"), "issue_key", refused)
        await project.provision(users=1)
    assert await access(simulator) == (1, 1, 0)
    await keys_looked_for(replica)
    await project.provision(ProvisioningRequested, 2, **NOBODY, reason="members")
    assert await access(simulator) == (0, 0, 0)


async def test_what_a_stopped_attempt_had_granted_is_taken_later_too(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Nothing was recorded of the first run; after its cancel and a look for keys the project is suspended."""
    replica.fill()
    await project.start(users=1)
    replica.empty()
    await carried_out_unrecorded(replica)
    await cancel(replica, project, 2)
    await keys_looked_for(replica)
    assert (await access(simulator))[:2] == (1, 1)
    await ask(replica, project, SuspensionRequested, 3)
    await replica.work_off()
    assert await access(simulator) == (0, 0, 0)


async def refused(*_: Any) -> None:
    """In place of a call."""
    raise Invalid("The cloud refuses.")


async def keys_looked_for(replica: Replica) -> None:
    """Until all is certain of them."""
    for _ in range(2):
        await replica.run("UPDATE runs SET swept_at = NULL")
        await replica.run("UPDATE member_records SET updated_at = now() - interval '61 s'")
        await replica.sweep.renew_tickets()
        await replica.sweep.look_for_keys()
        await replica.work_off()
    assert await replica.run("SELECT FROM member_records WHERE may_have_issued") == []
