"""The handlers on a real database and the cloud simulator: runs from their events to what they tell."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from backbone.retries import RunUnknown, Snooze
from cloud_simulator.testing import RunningSimulator
from clouds.port import ProjectSpec
from clouds.vault import SealedFor
from contracts.events import (
    AccessRevoked,
    ProvisioningCancelled,
    ProvisioningFailed,
    ProvisioningRequested,
    RemovalRequested,
    SuspensionRequested,
    UserRevoked,
    UserSynced,
)
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from user_syncer import tickets
from user_syncer.handlers import HANDLERS
from user_syncer.testing import Project, Replica, people

CANARY = "canary-"


def test_handlers_are_what_the_queue_is_bound_to() -> None:
    """Every subscribed event has a handler, and no other has."""
    assert {event.routing_key for event in HANDLERS} == set(SUBSCRIPTIONS["user-syncer"])


def test_what_is_told_may_be_told() -> None:
    """The broker lets this service say all that it says."""
    said = (UserSynced, UserRevoked, AccessRevoked, ProvisioningFailed, tickets.ChunkPlanned)
    assert {event.routing_key for event in said} <= set(PUBLICATIONS["user-syncer"])


async def test_each_user_gets_access_and_is_reported(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Account, role, policy and a key that works; one event a user, with the key's id."""
    await project.provision(users=7)
    told = {event.user_id: event for event in replica.told(UserSynced)}
    members = await replica.members(project.identifier)
    assert set(told) == set(members) == set(range(1, 8))
    for user_id, member in members.items():
        assert member.state == "synced"
        assert told[user_id].credential_id == member.key_id
        assert told[user_id].changed == ("create_user", "grant_role", "attach_policy", "issue_key")
    assert (await simulator.stats())["objects"] == {
        "projects": 1,
        "users": 7,
        "grants": 7,
        "policies": 7,
        "active_keys": 7,
    }


async def test_the_stored_secret_opens_the_cloud(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """What is sealed is the key's secret, for this tenant, user and key."""
    await project.provision(users=1)
    member = (await replica.members(project.identifier))[1]
    owner = (member.tenant_id, member.user_id, member.key_id)
    secret = replica.vault.open(member.sealed_secret, SealedFor(*owner))
    assert await simulator.authenticates(member.key_id, secret)


async def test_a_secret_is_in_no_event_log_or_row(
    replica: Replica, project: Project, simulator: RunningSimulator, capsys: pytest.CaptureFixture[str]
) -> None:
    """The marked secrets of the cloud are nowhere in the clear, failures included."""
    await simulator.behave(fail_emails=["user2@example.org"])
    await project.provision(users=4)
    said = b"".join(message.body for message in replica.sent) + capsys.readouterr().out.encode()
    tables = ("runs", "member_records", "chunks", "outbox")
    rows = [await replica.run(f"SELECT t::text AS row FROM {table} AS t") for table in tables]
    assert CANARY.encode() not in said
    assert CANARY.encode().hex() not in str(rows)
    assert CANARY not in str(rows)


async def test_a_run_that_changes_nothing_reports_everybody(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Users who are right already are told of at once, and nothing is written on the cloud."""
    await project.provision(users=7)
    before = await simulator.objects()
    replica.sent.clear()
    await project.provision(ProvisioningRequested, run=2, users=7, reason="provision")
    assert [(event.user_id, event.changed) for event in replica.told(UserSynced)] == [(n, ()) for n in range(1, 8)]
    assert await simulator.objects() == before
    assert len(replica.sent) == 1


async def test_a_link_without_its_request_waits(replica: Replica, project: Project) -> None:
    """LinkEnsured may overtake the request: it comes again a moment later."""
    with pytest.raises(RunUnknown):
        await replica.hear(project.linked())


async def test_an_older_run_is_dropped(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """Nothing is written for a run that a newer one replaced."""
    await replica.hear(project.command(run=2))
    await replica.hear(project.linked(run=1))
    assert replica.events == []
    assert (await simulator.stats())["objects"]["users"] == 0


async def test_a_request_that_comes_again_is_told_again(replica: Replica, project: Project) -> None:
    """A wiped broker heals: the same facts, and nothing is done twice."""
    await project.provision(users=4)
    first = replica.told(UserSynced)
    replica.sent.clear()
    await replica.hear(project.command(users=4))
    await replica.hear(project.linked())
    assert sorted(replica.told(UserSynced), key=lambda e: e.user_id) == sorted(first, key=lambda e: e.user_id)


async def test_lost_tickets_come_again_with_the_request(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Chunks that nobody works on get their tickets again; each is carried out once."""
    await project.start(users=9)
    assert len(replica.tickets()) == 2
    await replica.hear(project.linked())
    await replica.work_off()
    assert (await simulator.stats())["duplicate_effects"] == 0
    assert {event.user_id for event in replica.told(UserSynced)} == set(range(1, 10))


async def test_a_cancelled_run_writes_nothing_more(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Chunks that were open at the cancel are never carried out."""
    await project.start(users=9)
    await replica.hear(project.command(ProvisioningCancelled, run=2, users=9, cancelled_by="admin"))
    await replica.work_off()
    assert (await simulator.stats())["objects"]["users"] == 3


async def test_removed_users_lose_access(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """Role, policy and keys go; the others keep theirs, and each is reported."""
    await project.provision(users=4)
    replica.sent.clear()
    await project.provision(
        ProvisioningRequested, run=2, users=3, reason="members", removed=[p.model_dump() for p in people(1, first=4)]
    )
    assert [event.user_id for event in replica.told(UserRevoked)] == [4]
    assert len(replica.told(UserSynced)) == 3
    objects = (await simulator.stats())["objects"]
    assert (objects["grants"], objects["policies"], objects["active_keys"]) == (3, 3, 3)
    member = (await replica.members(project.identifier))[4]
    assert (member.state, member.key_id, member.sealed_secret) == ("revoked", None, None)


async def test_whoever_is_not_named_leaves_without_a_word(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Access that is left over is taken, but the run's count of users doesn't know them."""
    await project.provision(users=4)
    replica.sent.clear()
    await project.provision(ProvisioningRequested, run=2, users=3, reason="provision")
    assert replica.told(UserRevoked) == []
    assert (await simulator.stats())["objects"]["grants"] == 3


async def test_redo_gives_a_fresh_key(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """The new key is stored, then the old one is revoked; everybody else keeps theirs."""
    await project.provision(users=2)
    before = await replica.members(project.identifier)
    await project.provision(ProvisioningRequested, run=2, users=2, reason="user-sync", redo=[1])
    after = await replica.members(project.identifier)
    live = {key["access_key"] for key in (await simulator.objects())["keys"]}
    assert after[1].key_id != before[1].key_id
    assert (after[1].credential_version, after[2].credential_version) == (2, 1)
    assert live == {after[1].key_id, after[2].key_id}
    assert after[1].retired_key_ids == []


async def test_a_changed_role_replaces_the_old_one(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """The directory's role goes through the region's mapping; the key stays."""
    await project.provision(users=1)
    admin = [each.model_dump() for each in people(1, role="admin")]
    await project.provision(ProvisioningRequested, run=2, reason="provision", participants=admin)
    assert [grant["role"] for grant in (await simulator.objects())["grants"]] == ["tenant_admin"]
    assert (await replica.members(project.identifier))[1].credential_version == 1


@pytest.mark.parametrize("command", [SuspensionRequested, RemovalRequested])
async def test_access_ends_for_everybody(
    replica: Replica, project: Project, simulator: RunningSimulator, command: Any
) -> None:
    """UserRevoked for each, and AccessRevoked once, after the last chunk."""
    await project.provision(users=7)
    replica.sent.clear()
    await replica.hear(project.command(command, run=2, users=7))
    await replica.work_off()
    assert {event.user_id for event in replica.told(UserRevoked)} == set(range(1, 8))
    assert replica.events[-1] == AccessRevoked(identifier=project.identifier, run=2)
    assert len(replica.told(AccessRevoked)) == 1
    objects = (await simulator.stats())["objects"]
    assert (objects["grants"], objects["policies"], objects["active_keys"]) == (0, 0, 0)


async def test_resume_gives_access_back(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """A resumed project's users have roles, policies and fresh keys again."""
    await project.provision(users=4)
    await replica.hear(project.command(SuspensionRequested, run=2, users=4))
    await replica.work_off()
    await project.provision(ProvisioningRequested, run=3, users=4, reason="resume")
    objects = (await simulator.stats())["objects"]
    assert (objects["grants"], objects["policies"], objects["active_keys"]) == (4, 4, 4)


async def test_a_project_that_was_never_linked_has_no_access_to_end(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """Its removal is told at once, without a call."""
    calls = (await simulator.stats())["calls"]["total"]
    await replica.hear(project.command(RemovalRequested, users=2))
    assert replica.events[-1] == AccessRevoked(identifier=project.identifier, run=1)
    assert (await simulator.stats())["calls"]["total"] == calls


async def test_an_end_of_access_that_comes_again_is_told_again(replica: Replica, project: Project) -> None:
    """A wiped broker heals here too."""
    await project.provision(users=2)
    for _ in range(2):
        replica.sent.clear()
        await replica.hear(project.command(RemovalRequested, run=2))
        await replica.work_off()
        assert [type(event) for event in replica.events] == [UserRevoked, UserRevoked, AccessRevoked]


async def test_a_plan_waits_for_the_lease_of_an_older_run(replica: Replica, project: Project) -> None:
    """Somebody may still write for the older run: revoking before they end would leave what they give."""
    await project.start(users=4)
    await replica.run("UPDATE chunks SET lease_until = now() + interval '1 minute', fence = 1")
    with pytest.raises(Snooze):
        await replica.hear(project.command(RemovalRequested, run=2, users=4))
    await replica.run("UPDATE chunks SET lease_until = now() - interval '1 second'")
    await replica.hear(project.command(RemovalRequested, run=2, users=4))
    await replica.work_off()
    assert len(replica.told(AccessRevoked)) == 1


async def test_a_plan_after_the_deadline_is_a_failure(replica: Replica, project: Project) -> None:
    """A run that waited too long for its cloud ends."""
    past = datetime.now(UTC) - timedelta(seconds=1)
    await project.start(deadline_at=past)
    (failure,) = replica.events
    assert isinstance(failure, ProvisioningFailed)
    assert (failure.code, failure.user_id, failure.step) == ("deadline", None, "users")


async def test_a_replaced_cloud_project_voids_our_records(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """A link made anew has no grants and keys of the old one: everybody is given access again."""
    await project.provision(users=2)
    cloud = replica.clouds.open("here")
    await cloud.delete_project(ProjectSpec(project.identifier, "Shop"))
    made = await cloud.ensure_project(ProjectSpec(project.identifier, "Shop"))
    project.provider_project_id = made.id
    await project.provision(ProvisioningRequested, run=2, reason="provision")
    objects = (await simulator.stats())["objects"]
    assert (objects["users"], objects["grants"], objects["active_keys"]) == (2, 2, 2)
