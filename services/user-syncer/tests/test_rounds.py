"""What a round of results means, row by row and event by event."""

from datetime import UTC, datetime

from backbone.retries import GiveUp
from clouds.port import AccessKey, Capabilities, KeyChange, UserChange, UserOutcome
from contracts.events import ProvisioningFailed, UserRevoked, UserSynced
from contracts.status import Kind
from user_syncer.model import Chunk
from user_syncer.orders import Later, Order, settled_later
from user_syncer.rounds import Result, Round

CHUNK = Chunk(
    id="P1/1/1",
    identifier="P1",
    run=1,
    kind=Kind.PROVISION,
    tenant_id=5,
    region="here",
    provider_project_id="p",
    orders=(),
    fence=1,
    attempt=1,
    told=None,
    deadline_at=datetime(2030, 1, 1, tzinfo=UTC),
    overdue=False,
    asked_at=0.0,
)
NEW = Order(UserChange(1, "a@b", create_user=True, keys=KeyChange(issue=True)), "a@b", "member")
ROTATED = Order(UserChange(1, "a@b", "u1", keys=KeyChange(issue=True, current="old", retire=("old",))), "a@b", "member")
DONE = UserOutcome(1, "u1", ("issue_key",), AccessKey("new", "secret"))


def taken(*results: Result) -> Round:
    """A round of these."""
    made = Round(CHUNK, Capabilities())
    made.take(results)
    return made


def test_a_synced_user_is_recorded_and_told() -> None:
    """With the sealed secret in the row and the key's id, never more, in the event."""
    made = taken(Result(NEW, DONE, b"sealed"))
    (success,) = made.report.successes
    assert (success.key_id, success.sealed, success.done) == ("new", b"sealed", True)
    assert made.events == [
        UserSynced(identifier="P1", run=1, user_id=1, role="member", changed=("issue_key",), credential_id="new")
    ]
    assert made.left == {1: None}


def test_a_rotated_key_is_stored_before_the_old_one_goes() -> None:
    """Nothing is told yet; what is left is to revoke the old key."""
    made = taken(Result(ROTATED, DONE, b"sealed"))
    (success,) = made.report.successes
    assert (success.key_id, success.unsettled, success.done) == ("new", ("old",), False)
    assert made.events == []
    assert made.left == {1: settled_later(ROTATED, DONE)}


def test_after_the_old_key_is_gone_the_user_is_told_of() -> None:
    """With what the first half changed."""
    made = taken(Result(settled_later(ROTATED, DONE)))
    (success,) = made.report.successes
    assert (success.key_id, success.unsettled, success.done) == (None, (), True)
    assert made.events == [
        UserSynced(identifier="P1", run=1, user_id=1, role="member", changed=("issue_key",), credential_id="new")
    ]


def test_a_given_up_user_may_have_left_something_behind() -> None:
    """The role that was about to be given is kept with the failure; a settled order leaves nothing unknown."""
    failure = GiveUp("invalid", "no", retryable=False, tries=1, expected=True)
    made = taken(Result(NEW, verdict=failure))
    ((event, asked_role),) = made.report.failures
    assert isinstance(event, ProvisioningFailed)
    assert (event.email, event.code, asked_role) == ("a@b", "invalid", "member")
    assert taken(Result(settled_later(ROTATED, DONE), verdict=failure)).report.failures[0][1] is None


def test_what_comes_again_is_left() -> None:
    """Neither recorded nor told."""
    later = Later(NEW, 5, "retry", "x")
    made = taken(Result(NEW, verdict=later))
    assert (made.left, made.report.successes, made.events) == ({1: NEW}, [], [])


def test_a_user_who_leaves_is_told_of_unless_quiet() -> None:
    """The record is made in both cases."""
    leaves = Order(UserChange(1, "a@b", leaves=True), "a@b")
    assert taken(Result(leaves, DONE)).events == [UserRevoked(identifier="P1", run=1, user_id=1)]
    quiet = taken(Result(Order(leaves.change, "a@b", quiet=True), DONE))
    assert (quiet.report.revoked, quiet.events) == ([(1, "a@b")], [])


def test_a_quiet_look_for_keys_ends_in_certainty() -> None:
    """Given up, it is tried again by the next sweep, and nobody hears of it."""
    look = Order(UserChange(1, "a@b", "u1", keys=KeyChange(strays=("lost",))), "a@b", quiet=True)
    made = taken(Result(look, DONE))
    assert (made.report.certain, made.strays, made.events) == ([1], 1, [])
    failure = GiveUp("invalid", "no", retryable=False, tries=1, expected=True)
    assert taken(Result(look, verdict=failure)).events == []
