"""The pure difference: what is planned for one user, and that carrying a plan out leaves nothing to plan."""

from dataclasses import replace

import pytest
from clouds.port import Capabilities, CloudUser, DesiredUser, Snapshot, UserChange, UserRecord
from clouds.reconcile import plan
from hypothesis import given
from hypothesis import strategies as st

KEYSTONE = Capabilities(roles={"admin": "manager"})
ZADARA = Capabilities(
    bulk_grants=False, bulk_keys=False, max_keys=2, policies=("AllowAll",), roles={"admin": "tenant_admin"}
)
ANN = DesiredUser(1, "Ann@Example.com", "member")
RECORD = UserRecord(1, "ann@example.com", "member", "u1", "k1")


def seen(roles: str = "member", keys: str = "k1") -> Snapshot:
    """Ann's account, as a cloud shows it that can be read in bulk."""
    return Snapshot(
        None,
        {"ann@example.com": CloudUser("u1", "ann@example.com")},
        {"u1": frozenset(roles.split())},
        None,
        {"u1": frozenset(keys.split())},
    )


def only(changes: tuple[UserChange, ...]) -> UserChange:
    (change,) = changes
    return change


def test_a_missing_user_gets_everything() -> None:
    """Account, role and key, in three calls where the cloud wants no policy and four where it does."""
    empty = Snapshot(None, {}, {}, None, {})
    change = only(plan([ANN], empty, {}, KEYSTONE))
    assert (change.actions, change.calls) == (("create_user", "grant_role", "issue_key"), 3)
    assert change.name == "ann@example.com"
    change = only(plan([ANN], Snapshot(None, {}), {}, ZADARA))
    assert (change.actions, change.calls) == (("create_user", "grant_role", "attach_policy", "issue_key"), 4)


@pytest.mark.parametrize("capabilities", [KEYSTONE, ZADARA])
def test_an_unchanged_user_costs_nothing(capabilities: Capabilities) -> None:
    """What is right already is not touched, whether the cloud shows it or only our records do."""
    snapshot = seen() if capabilities is KEYSTONE else Snapshot(None, seen().users)
    change = only(plan([ANN], snapshot, {1: RECORD}, capabilities))
    assert change.unchanged
    assert change.calls == 0
    assert change.keys.current == "k1"


def test_what_the_cloud_shows_beats_our_records() -> None:
    """A grant or key that was removed behind our back is made again."""
    change = only(plan([ANN], seen(roles="", keys=""), {1: RECORD}, KEYSTONE))
    assert change.actions == ("grant_role", "issue_key")
    assert change.keys.retire == ()


def test_policies_that_nobody_shows_are_attached_again_where_the_recorded_role_is_gone() -> None:
    """What took the one may have taken the others; with the role in its place they are left alone."""
    for roles, actions in (("", ("grant_role", "attach_policy")), ("member", ())):
        snapshot = replace(seen(roles), read_each=frozenset(["ann@example.com"]))
        assert only(plan([ANN], snapshot, {1: RECORD}, ZADARA)).actions == actions


def test_an_account_removed_behind_our_back_is_made_again() -> None:
    """The record of a deleted account is worth nothing, also where grants and keys cannot be read."""
    change = only(plan([ANN], Snapshot(None, {}), {1: RECORD}, ZADARA))
    assert change.actions == ("create_user", "grant_role", "attach_policy", "issue_key")


def test_rotation_replaces_the_key_in_use() -> None:
    """A fresh key is issued, and the old one is retired after it is stored."""
    change = only(plan([replace(ANN, rotate=True)], seen(), {1: RECORD}, KEYSTONE))
    assert change.keys.issue
    assert change.keys.retire == ("k1",)
    assert change.keys.strays == ()


def test_a_key_that_we_do_not_know_is_a_stray() -> None:
    """Where keys are read in bulk it goes at once; where not, we look if an attempt may have left one."""
    change = only(plan([ANN], seen(keys="k1 k9"), {1: RECORD}, KEYSTONE))
    assert change.keys.strays == ("k9",)
    assert not change.keys.issue
    change = only(plan([ANN], Snapshot(None, seen().users), {1: replace(RECORD, may_have_issued=True)}, ZADARA))
    assert change.actions == ("look_for_keys",)


def test_keys_retired_but_not_revoked_are_retired_again() -> None:
    """A crash after the store and before the revocation is made good by the next plan."""
    change = only(plan([ANN], seen(keys="k1 k0"), {1: replace(RECORD, retired_key_ids=("k0",))}, KEYSTONE))
    assert change.keys.retire == ("k0",)
    assert change.keys.strays == ()


def test_only_roles_that_we_grant_are_taken_away() -> None:
    """A participant has one of our roles; a role that somebody else gave them stays."""
    change = only(plan([ANN], seen(roles="manager auditor"), {1: RECORD}, KEYSTONE))
    assert change.grant_role == "member"
    assert change.revoke_roles == ("manager",)


def test_who_leaves_loses_every_role_and_key() -> None:
    """Also roles that others granted: the user is to have no access left."""
    change = only(plan([], seen(roles="member auditor", keys="k1 k9"), {1: RECORD}, KEYSTONE))
    assert change.leaves
    assert change.revoke_roles == ("auditor", "member")
    assert change.keys.strays == ("k1", "k9")


def test_who_left_already_is_unchanged() -> None:
    """A record without access on a cloud without traces asks for no call."""
    gone = UserRecord(1, "ann@example.com", provider_user_id="u1")
    assert only(plan([], seen(roles="", keys=""), {1: gone}, KEYSTONE)).unchanged
    assert only(plan([], Snapshot(None, seen().users), {1: gone}, ZADARA)).unchanged


def test_who_leaves_a_cloud_without_bulk_reads_is_looked_at() -> None:
    """All keys of the project must go, not only those that we know of."""
    change = only(plan([], Snapshot(None, seen().users), {1: RECORD}, ZADARA))
    assert change.keys.look
    assert change.keys.strays == ("k1",)
    assert (change.revoke_roles, change.detach_policies) == (("member",), ("AllowAll",))


def test_a_new_email_is_a_new_account_and_ends_the_former_one() -> None:
    """Everything is made for the new name, and the former record's access is to be revoked."""
    change = only(plan([replace(ANN, email="ann@elsewhere.example")], seen(), {1: RECORD}, KEYSTONE))
    assert change.create_user
    assert change.former == (RECORD,)


def test_a_change_of_email_that_did_not_end_is_ended_by_whatever_comes_next() -> None:
    """Of an attempted account only the name is known; one that is not on the cloud asks for nothing."""
    tried = UserRecord(1, "Ann@Tried.example", "member")
    never = UserRecord(1, "ann@never.example", "member")
    users = {name: CloudUser(name[:5], name) for name in ("ann@example.com", "ann@tried.example")}
    snapshot = replace(seen(), users=users)
    record = replace(RECORD, provider_user_id="ann@e", former=(tried, never))
    found = (replace(tried, provider_user_id="ann@t"),)
    stays = only(plan([ANN], snapshot, {1: record}, KEYSTONE))
    leaves = only(plan([], snapshot, {1: record}, KEYSTONE))
    assert (stays.former, leaves.former) == (found, found)
    assert "revoke_former_account" in stays.actions


def test_a_cloud_that_shows_nothing_trusts_records_and_counts_one_call() -> None:
    """No bulk read at all and one call a user: a first sync is one call, a second none."""
    bare = Capabilities(bulk_grants=False, bulk_keys=False, one_call_per_user=True)
    assert only(plan([ANN], Snapshot(None), {}, bare)).calls == 1
    assert only(plan([ANN], Snapshot(None), {1: RECORD}, bare)).unchanged


NAMES = [f"p{number}@example.com" for number in range(5)]
ROLES = st.sampled_from(["member", "manager"])


@st.composite
def worlds(draw: st.DrawFn) -> tuple[list[DesiredUser], Snapshot, dict[int, UserRecord]]:
    """Any participants, any state of the cloud, any memory of ours."""
    numbers = st.sets(st.integers(0, 4))
    desired = [DesiredUser(n, NAMES[n], draw(ROLES), draw(st.booleans())) for n in sorted(draw(numbers))]
    there = draw(numbers)
    held = st.frozensets(st.sampled_from(["member", "manager", "auditor"]))
    keys = st.frozensets(st.sampled_from(["k0", "k1", "k2"]))
    snapshot = Snapshot(
        None,
        {NAMES[n]: CloudUser(f"u{n}", NAMES[n]) for n in there},
        {f"u{n}": draw(held) for n in there},
        None,
        {f"u{n}": draw(keys) for n in there},
    )
    key = st.sampled_from([None, "k0", "k1"])
    records = {n: UserRecord(n, NAMES[n], draw(ROLES), f"u{n}", draw(key)) for n in draw(numbers)}
    return desired, snapshot, records


def carried_out(change: UserChange, snapshot: Snapshot) -> tuple[Snapshot, UserRecord]:
    """The cloud and our record after one change, settled."""
    assert snapshot.users is not None
    assert snapshot.roles is not None
    assert snapshot.keys is not None
    user_id = change.provider_user_id or f"u{change.user_id}"
    exists = not change.leaves or change.provider_user_id
    users = dict(snapshot.users) | ({change.name: CloudUser(user_id, change.name)} if exists else {})
    granted = {change.grant_role} if change.grant_role else set()
    roles = (snapshot.roles.get(user_id, frozenset()) - set(change.revoke_roles)) | granted
    issued = {f"new{change.user_id}"} if change.keys.issue else set()
    keys = (snapshot.keys.get(user_id, frozenset()) - set(change.keys.strays) - set(change.keys.retire)) | issued
    after = Snapshot(
        None,
        users,
        dict(snapshot.roles) | {user_id: frozenset(roles)},
        None,
        dict(snapshot.keys) | {user_id: frozenset(keys)},
    )
    key_id = f"new{change.user_id}" if change.keys.issue else change.keys.current
    return after, UserRecord(change.user_id, change.name, change.grant_role, user_id, None if change.leaves else key_id)


@given(worlds())
def test_a_plan_carried_out_leaves_nothing_to_plan(
    world: tuple[list[DesiredUser], Snapshot, dict[int, UserRecord]],
) -> None:
    """Whatever the start: after one run the next plan is empty, each participant has one key, and who left has none."""
    desired, snapshot, records = world
    for change in plan(desired, snapshot, records, KEYSTONE):
        snapshot, records[change.user_id] = carried_out(change, snapshot)
    kept = [replace(user, rotate=False) for user in desired]
    assert all(change.unchanged for change in plan(kept, snapshot, records, KEYSTONE))
    assert snapshot.keys is not None
    staying = {user.user_id for user in desired}
    for user_id, record in records.items():
        held = snapshot.keys.get(record.provider_user_id or "", frozenset())
        assert len(held) == (1 if user_id in staying else 0)


def test_an_email_whose_former_owner_has_nothing_left_needs_no_look() -> None:
    """Their access was taken; a preview would else foretell a call for ever that no run makes."""
    former = UserRecord(2, "ann@example.com")
    change = only(plan([ANN], Snapshot(None, seen().users), {1: RECORD}, ZADARA))
    records = {1: RECORD, 2: former}
    changes = plan([ANN], Snapshot(None, seen().users), records, ZADARA)
    assert changes[0] == change
    assert changes[0].unchanged
