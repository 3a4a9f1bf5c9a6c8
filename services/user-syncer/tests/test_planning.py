"""What a run asks of the cloud, from records and one reading: no cloud is needed."""

from dataclasses import replace

from clouds.port import Capabilities, CloudUser, Snapshot
from clouds.reconcile import names_to_read
from contracts.status import Kind
from user_syncer import planning
from user_syncer.model import Member, Run
from user_syncer.testing import people

ZCOMPUTE = Capabilities(bulk_grants=False, bulk_keys=False, policies=("AllowAll",), roles={"admin": "boss"})
KEYSTONE = Capabilities()
RUN = Run(
    identifier="P1",
    number=2,
    kind=Kind.PROVISION,
    name="Shop",
    tenant_id=5,
    provider="zadara",
    region="here",
    participants=people(2),
    removed=(),
    redo=frozenset(),
    reread=frozenset(),
    provider_project_id="p",
    planned=False,
    chunks_left=0,
    failure=None,
    overdue=False,
    older_leases=False,
    has_members=True,
)
USERS = {f"user{n}@example.org": CloudUser(f"u{n}", f"user{n}@example.org") for n in range(1, 5)}
READING = Snapshot(None, USERS)


def member(user_id: int, **changes: object) -> Member:
    """Somebody who has what a member has."""
    known = Member(user_id, f"User{user_id}@example.org", "member", f"u{user_id}", f"k{user_id}", state="synced", run=1)
    return replace(known, **changes)  # type: ignore[arg-type] # the fields are the test's


def members(*each: Member) -> dict[int, Member]:
    return {one.user_id: one for one in each}


def test_everybody_as_recorded_is_unchanged() -> None:
    """Where grants and keys can't be listed, records are trusted."""
    orders = planning.orders_of(RUN, members(member(1), member(2)), READING, ZCOMPUTE)
    assert [(order.user_id, order.change.unchanged) for order in orders] == [(1, True), (2, True)]


def test_the_directory_role_is_mapped() -> None:
    """The order keeps the directory's, the change has the cloud's."""
    run = replace(RUN, participants=people(1, role="admin"))
    (order,) = planning.orders_of(run, {}, READING, ZCOMPUTE)
    assert (order.role, order.change.grant_role) == ("admin", "boss")


def test_redo_rotates() -> None:
    """Only those whom it names."""
    run = replace(RUN, redo=frozenset({2}))
    first, second = planning.orders_of(run, members(member(1), member(2)), READING, ZCOMPUTE)
    assert (first.change.keys.issue, second.change.keys.issue, second.change.keys.retire) == (False, True, ("k2",))


def test_removed_users_leave() -> None:
    """Also one of whom nothing is recorded: the run waits for word of them."""
    run = replace(RUN, participants=people(1), removed=people(2, first=2))
    orders = planning.orders_of(run, members(member(1), member(2)), READING, ZCOMPUTE)
    assert [(order.user_id, order.revokes, order.quiet) for order in orders] == [
        (1, False, False),
        (2, True, False),
        (3, True, False),
    ]
    assert orders[2].change.unchanged


def test_unnamed_access_is_taken_quietly() -> None:
    """Nobody counts on word of them; who has no access any more is left alone."""
    known = members(member(1), member(2), member(3), member(4, role=None, key_id=None, state="revoked"))
    orders = planning.orders_of(RUN, known, READING, ZCOMPUTE)
    assert [(order.user_id, order.quiet) for order in orders] == [(1, False), (2, False), (3, True)]


def test_an_end_of_access_is_everybodys() -> None:
    """Those recorded and those asked for; each is told of."""
    run = replace(RUN, kind=Kind.REMOVE)
    orders = planning.orders_of(run, members(member(1), member(3)), READING, ZCOMPUTE)
    assert [(order.user_id, order.revokes, order.quiet, order.change.unchanged) for order in orders] == [
        (1, True, False, False),
        (2, True, False, True),
        (3, True, False, False),
    ]


def test_an_attempt_without_a_known_end_is_read_one_by_one() -> None:
    """By both accounts that it may have been about; where lists tell all, there is no need."""
    unsure = member(1, may_have_issued=True, asked_email="New@example.org")
    assert names_to_read([unsure.record, member(2).record], ZCOMPUTE) == {"new@example.org", "user1@example.org"}
    assert names_to_read([member(2).record], ZCOMPUTE, reread=[2]) == {"user2@example.org"}
    assert names_to_read([unsure.record], KEYSTONE) == set()


def test_who_leaves_after_such_an_attempt_loses_what_it_may_have_given() -> None:
    """The policies of a role that was about to be granted."""
    unsure = Member(1, "User1@example.org", may_have_issued=True, asked_role="member")
    run = replace(RUN, kind=Kind.REMOVE, participants=people(1))
    reading = replace(READING, roles={"u1": frozenset()}, keys={"u1": frozenset({"lost"})}, read_each=frozenset(USERS))
    (order,) = planning.orders_of(run, members(unsure), reading, ZCOMPUTE)
    assert order.change.keys.strays == ("lost",)
    assert order.change.detach_policies == ("AllowAll",)


def test_records_of_another_cloud_project_are_void() -> None:
    """The account is left; role and key went with the project."""
    (order, _) = planning.orders_of(RUN, planning.voided(members(member(1), member(2))), READING, ZCOMPUTE)
    assert (order.change.create_user, order.change.grant_role, order.change.keys.issue) == (False, "member", True)


def test_strays_are_live_keys_that_we_do_not_know() -> None:
    """Who has none is certain, and so is who has no account."""
    unsure = [member(n, may_have_issued=True) for n in (1, 2)] + [Member(9, "gone@example.org", may_have_issued=True)]
    reading = replace(READING, keys={"u1": frozenset({"k1", "lost"}), "u2": frozenset({"k2"})})
    orders = planning.stray_orders(unsure, reading, RUN.participants)
    assert [order.change.keys.strays for order in orders] == [("lost",), (), ()]
    assert [order.change.unchanged for order in orders] == [False, True, True]
    assert all(order.quiet for order in orders)


def test_the_keys_of_who_has_the_email_by_now_are_no_strays() -> None:
    """They stand in the account that the unsure one had, and are recorded for somebody else."""
    gone = Member(1, "user2@example.org", may_have_issued=True)
    two = next(each for each in RUN.participants if each.user_id == 2)
    reading = Snapshot(None, {gone.email: CloudUser("u2", gone.email)}, keys={"u2": frozenset({"k2"})})
    assert [each.change.keys.strays for each in planning.stray_orders([gone], reading, [])] == [("k2",)]
    assert [each.change.keys.strays for each in planning.stray_orders([gone], reading, [two])] == [()]
