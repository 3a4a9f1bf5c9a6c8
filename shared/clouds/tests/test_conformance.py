"""What every adapter must do, on the simulator (zCompute) and on a real Keystone."""

import asyncio
from typing import Any

import pytest
from clouds.errors import Conflict, Invalid
from clouds.guard import guarded_by
from clouds.port import DesiredUser, UserOutcome, UserRecord
from clouds.reconcile import plan


async def test_a_project_is_created_once_and_adopted_afterwards(peer: Any) -> None:
    """The first ensure creates, the second finds the same project by our mark."""
    first = await peer.link()
    again = await peer.link()
    assert (first.outcome, again.outcome) == ("created", "adopted")
    assert first.id == again.id
    assert first.name == f"Blue Whale-{peer.spec.identifier}"


async def test_a_name_without_our_mark_is_never_adopted(peer: Any) -> None:
    """A project that somebody else gave our name is a Conflict, code name_taken, and stays untouched."""
    await peer.link()
    stranger = await take_name_without_mark(peer)
    with pytest.raises(Conflict) as raised:
        await peer.cloud.ensure_project(stranger)
    assert raised.value.code == "name_taken"
    assert not raised.value.retryable


async def take_name_without_mark(peer: Any) -> Any:
    """Makes the cloud project of a new spec by hand, without its mark."""
    from clouds.naming import cloud_project_name

    spec = type(peer.spec)(f"{peer.spec.identifier}X", peer.spec.name)
    name, domain = cloud_project_name(spec.name, spec.identifier, 64), None
    if peer.code == "keystone":
        domain = await peer.cloud._domain_id.get()
        body: dict[str, Any] = {"project": {"name": name, "domain_id": domain}}
        answer = await peer.cloud._call("by_hand", "POST", "/projects", body=body)
    else:
        answer = await peer.cloud._call("by_hand", "POST", "/identity/projects", body={"name": name})
    answer.expect("make a project by hand", 201)
    return spec


async def test_eight_equal_creates_end_with_one_project(peer: Any) -> None:
    """Exactly one of eight callers at once creates; all end with the same project."""
    projects = await asyncio.gather(*(peer.cloud.ensure_project(peer.spec) for _ in range(8)))
    assert len({project.id for project in projects}) == 1
    assert [project.outcome for project in projects].count("created") == 1


async def test_eight_equal_accounts_end_as_one(peer: Any) -> None:
    """Eight callers who miss the same account end with one account."""
    await peer.link()
    name = peer.user(1).email.lower()
    users = await asyncio.gather(*(peer.cloud.ensure_user(name) for _ in range(8)))
    assert len({user.id for user in users}) == 1
    assert users[0].name == name


async def test_a_first_sync_gives_account_role_and_a_working_key(peer: Any, authenticates: Any) -> None:
    """After one run the user's key lets them into the project, and a second run has nothing to do."""
    await peer.link()
    desired = [peer.user(1), peer.user(2, peer.cloud.capabilities.cloud_role("admin"))]
    first = await peer.run(desired)
    assert all(isinstance(outcome, UserOutcome) and outcome.key for outcome in first)
    assert first[0].changed[:2] == ("create_user", "grant_role")
    assert await authenticates(peer, 1)
    assert await authenticates(peer, 2)
    second = await peer.run(desired)
    assert [(outcome.changed, outcome.key) for outcome in second] == [((), None)] * 2


async def test_a_key_needs_its_grant_first(peer: Any, authenticates: Any) -> None:
    """A key issued without a role does not authenticate, which is why the grant comes first."""
    await peer.link()
    user = await peer.cloud.ensure_user(peer.user(1).email.lower())
    peer.keys[1] = await peer.cloud.issue_key(peer.project_id, user)
    assert not await authenticates(peer, 1)


async def test_rotation_issues_stores_then_revokes(peer: Any, authenticates: Any) -> None:
    """Until the caller settles both keys work; afterwards only the new one does."""
    await peer.link()
    await peer.run([peer.user(1)])
    old = peer.keys[1]
    (change,) = await peer.plan([peer.user(1, rotate=True)])
    assert change.actions == ("issue_key", "revoke_key")
    outcome = await peer.cloud.sync_user(peer.project_id, change)
    assert await authenticates(peer, old)
    assert await authenticates(peer, outcome.key)
    await peer.cloud.settle_user(peer.project_id, change)
    assert not await authenticates(peer, old)
    assert await authenticates(peer, outcome.key)


async def test_settling_twice_is_settling_once(peer: Any) -> None:
    """A repeated revocation finds nothing and succeeds."""
    await peer.link()
    await peer.run([peer.user(1)])
    (change,) = await peer.plan([peer.user(1, rotate=True)])
    await peer.cloud.sync_user(peer.project_id, change)
    await peer.cloud.settle_user(peer.project_id, change)
    await peer.cloud.settle_user(peer.project_id, change)


async def test_a_key_whose_secret_was_never_stored_goes_before_the_next(peer: Any, authenticates: Any) -> None:
    """A crash between issue and store leaves a key that nobody has; the next attempt revokes it first."""
    await peer.link()
    (change,) = await peer.plan([peer.user(1)])
    lost = (await peer.cloud.sync_user(peer.project_id, change)).key
    peer.records[1] = UserRecord(1, peer.user(1).email, may_have_issued=True)
    await peer.run([peer.user(1)])
    assert not await authenticates(peer, lost)
    assert await authenticates(peer, 1)


async def test_a_changed_role_replaces_the_old_one(peer: Any) -> None:
    """A participant has exactly one of our roles, and keeps the key."""
    await peer.link()
    await peer.run([peer.user(1)])
    key = peer.keys[1]
    other = peer.cloud.capabilities.cloud_role("admin")
    (outcome,) = await peer.run([peer.user(1, other)])
    assert outcome.changed == ("grant_role", "revoke_role")
    snapshot = await peer.read(peer.user(1).email.lower())
    assert snapshot.roles[peer.records[1].provider_user_id] == {other}
    assert peer.keys[1] is key


async def test_who_leaves_has_no_access_left(peer: Any, authenticates: Any) -> None:
    """A removed participant loses keys and roles, and removing them again changes nothing."""
    await peer.link()
    await peer.run([peer.user(1), peer.user(2)])
    gone, record = peer.keys[2], peer.records[2]
    await peer.run([peer.user(1)])
    assert not await authenticates(peer, gone)
    assert await authenticates(peer, 1)
    snapshot = await peer.read(peer.user(2).email.lower())
    assert not snapshot.roles.get(record.provider_user_id)
    assert not snapshot.keys.get(record.provider_user_id)
    (again,) = plan([], snapshot, {2: record}, peer.cloud.capabilities)
    await peer.cloud.sync_user(peer.project_id, again)


async def test_a_changed_email_moves_access_to_the_new_account(peer: Any, authenticates: Any) -> None:
    """The account under the former e-mail loses its access once the new one has it."""
    await peer.link()
    await peer.run([peer.user(1)])
    old = peer.keys[1]
    moved = peer.user(91)
    (outcome,) = await peer.run([type(moved)(1, moved.email, moved.role)])
    assert "revoke_former_account" in outcome.changed
    assert not await authenticates(peer, old)
    assert await authenticates(peer, 1)


async def test_an_account_that_is_there_is_adopted(peer: Any) -> None:
    """A user who has an account on the cloud already is granted access with it."""
    await peer.link()
    there = await peer.cloud.ensure_user(peer.user(1).email.lower())
    (outcome,) = await peer.run([peer.user(1)])
    assert outcome.provider_user_id == there.id
    assert "create_user" not in outcome.changed


async def test_a_delete_takes_only_what_bears_our_mark_and_frees_the_name(peer: Any) -> None:
    """Deleting twice is deleting once, and the name can be used again."""
    project = await peer.link()
    await peer.run([peer.user(1)])
    assert await peer.cloud.delete_project(peer.spec) == project.id
    assert await peer.cloud.delete_project(peer.spec) is None
    assert (await peer.read()).project is None
    assert (await peer.link()).outcome == "created"


async def test_a_project_is_disabled_and_enabled_where_the_cloud_can(peer: Any, authenticates: Any) -> None:
    """Keystone locks everybody out and lets them in again with the same keys; zCompute says that it cannot."""
    await peer.link()
    await peer.run([peer.user(1)])
    if not peer.cloud.capabilities.can_disable_project:
        with pytest.raises(Invalid):
            await peer.cloud.disable_project(peer.project_id)
        return
    await peer.cloud.disable_project(peer.project_id)
    assert not await authenticates(peer, 1)
    assert (await peer.link()).enabled
    assert await authenticates(peer, 1)


async def test_a_lost_lease_stops_every_write(peer: Any) -> None:
    """When the guard raises, nothing more is written: not even the first call of a change."""

    class LeaseLost(Exception):
        pass

    def refuse() -> None:
        raise LeaseLost

    with guarded_by(refuse), pytest.raises(LeaseLost):
        await peer.cloud.ensure_project(peer.spec)
    assert await peer.cloud.find_project(peer.spec) is None
    await peer.link()
    (change,) = await peer.plan([peer.user(1)])
    with guarded_by(refuse), pytest.raises(LeaseLost):
        await peer.cloud.sync_user(peer.project_id, change)
    assert peer.user(1).email.lower() not in (await peer.read()).users


async def test_an_email_that_is_handed_on_opens_the_cloud_for_its_new_owner(peer: Any, authenticates: Any) -> None:
    """And the key of the one who had it before opens nothing any more."""
    await peer.link()
    one = peer.user(1)
    await peer.run([one])
    old = peer.keys[1]
    await peer.run([DesiredUser(2, one.email, one.role)])
    assert await authenticates(peer, 2)
    assert not await authenticates(peer, old)
