"""What follows from how one user's order went."""

from backbone.retries import GiveUp
from clouds.errors import Invalid, RateLimited, Transient
from clouds.port import AccessKey, KeyChange, UserChange, UserOutcome, UserRecord
from contracts.events import Step
from contracts.status import Kind
from hypothesis import given
from hypothesis import strategies as st
from user_syncer import orders
from user_syncer.orders import Later, Order

CHANGE = UserChange(
    7,
    "ann@example.org",
    "u7",
    grant_role="member",
    keys=KeyChange(issue=True, current="old", known=frozenset({"old"}), retire=("old",)),
    former=(UserRecord(7, "ann@old.example.org", "member", "u6", "k6"),),
)
ORDER = Order(CHANGE, "Ann@example.org", "member")


def judge(order: Order, error: Exception, *, overdue: bool = False) -> orders.Verdict:
    """With three tries and no jitter."""
    return orders.judge(order, error, overdue=overdue, max_tries=3, jitter=1.0)


def test_orders_survive_their_row() -> None:
    """All of an order comes back as it was."""
    stored = (ORDER, orders.again(ORDER), Order(UserChange(8, "bob@example.org", leaves=True), "b@x", quiet=True))
    assert orders.from_json(orders.to_json(stored)) == stored


@given(st.integers(1, 300), st.integers(1, 100))
def test_pieces_are_even_and_whole(users: int, size: int) -> None:
    """No piece is larger than asked, none is smaller than another by more than one, nobody is left out."""
    everybody = [Order(UserChange(number, "name"), "mail") for number in range(users)]
    cut = list(orders.pieces(everybody, size))
    sizes = {len(piece) for piece in cut}
    assert [order for piece in cut for order in piece] == everybody
    assert max(sizes) <= size
    assert max(sizes) - min(sizes) <= 1


def test_a_repeat_looks_for_keys_only_where_one_was_to_be_issued() -> None:
    """Who only gets a role can have no unknown key."""
    assert orders.again(ORDER).change.keys.look
    granted = Order(UserChange(7, "ann@example.org", grant_role="member"), "ann@example.org")
    assert orders.again(granted) == granted


def test_what_is_left_after_the_store_is_to_revoke() -> None:
    """The new key stays, the old one and the former account go, and what was done is told at the end."""
    outcome = UserOutcome(7, "u7", ("issue_key",), AccessKey("new", "secret"))
    rest = orders.settled_later(ORDER, outcome)
    assert (rest.stored, rest.changed, rest.change.keys) == (
        True,
        ("issue_key",),
        KeyChange(current="new", retire=("old",)),
    )
    assert rest.change.former == CHANGE.former
    assert "secret" not in orders.to_json([rest])


def test_a_refusal_is_final() -> None:
    """The same again would fail again."""
    assert judge(ORDER, Invalid("no")) == GiveUp("invalid", "no", retryable=False, tries=1, expected=True)


def test_a_failure_is_tried_again_until_its_tries_are_used_up() -> None:
    """Each time later than before."""
    first = judge(ORDER, Transient("away"))
    assert isinstance(first, Later)
    second = judge(first.order, Transient("away"))
    assert isinstance(second, Later)
    assert (first.order.tries, second.order.tries) == (1, 2)
    assert first.delay < second.delay
    assert judge(second.order, Transient("away")) == GiveUp("cloud_unavailable", "away", True, 3, True)


def test_a_wait_costs_no_try() -> None:
    """It lasts as long as the cloud says."""
    limited = judge(ORDER, RateLimited("slow down", retry_after=9))
    assert limited == Later(ORDER, 9, "rate", "slow down")


def test_a_bug_of_ours_shows_no_words_of_its_own() -> None:
    """It may hold anything; the code says whose fault it is."""
    verdict = judge(Order(CHANGE, "a@b", tries=2), KeyError("a secret"))
    assert verdict == GiveUp("internal", "Something went wrong on our side.", True, 3, False)


def test_after_the_deadline_nothing_waits() -> None:
    """What would be tried again is given up; what is final stays what it is."""
    assert judge(ORDER, RateLimited("x", retry_after=1), overdue=True) == orders.overdue_after(0)
    refused = judge(ORDER, Invalid("no"), overdue=True)
    assert isinstance(refused, GiveUp)
    assert refused.code == "invalid"


def test_the_step_that_people_see() -> None:
    """A removal has its own; all else is the users'."""
    assert {kind: orders.step_of(kind) for kind in (Kind.PROVISION, Kind.SUSPEND, Kind.REMOVE)} == {
        Kind.PROVISION: Step.USERS,
        Kind.SUSPEND: Step.USERS,
        Kind.REMOVE: Step.REMOVE,
    }
