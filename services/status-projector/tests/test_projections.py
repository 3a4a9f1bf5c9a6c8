"""What people see of a run."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from contracts import events
from contracts.events import Event, Step
from contracts.status import FailedUser, Failure, Kind, Picture, opening_picture
from status_projector.facts import Facts, Known, Mark, fold
from status_projector.projections import moved_steps, picture, turn
from status_projector.testing import BEGIN, delayed, failed, linked, orphan, person, requested, revoked, synced, told

AGAIN = (events.ProvisioningRequested, 2, 2)


def facts_of(*story: Event) -> Facts:
    """The facts of a story whose events come a second after another."""
    known = Known()
    for each in told(story):
        fold(known, each.data, Mark(each.time, each.id))
    assert known.facts is not None
    return known.facts


def seen(*story: Event) -> Picture:
    """The picture of a story."""
    shown = picture(facts_of(*story))
    assert shown is not None
    return shown


def at(second: int) -> datetime:
    """When the story's event with this number came."""
    return BEGIN + timedelta(seconds=second)


def statuses(shown: Picture) -> Sequence[str]:
    """The words of the three steps."""
    return [step.status.value for step in shown.steps]


def test_a_run_that_was_only_requested_shows_as_project_api_opens_it() -> None:
    """So that a reader can't tell whether the request was folded yet."""
    assert seen(requested()) == opening_picture(Kind.PROVISION, 2, BEGIN)
    assert seen(requested(events.RemovalRequested)) == opening_picture(Kind.REMOVE, 2, BEGIN)
    assert seen(requested(events.SuspensionRequested)) == opening_picture(Kind.SUSPEND, 2, BEGIN)


def test_a_run_waits_for_its_request() -> None:
    """Events that overtook it show nothing, and count once it comes."""
    assert picture(facts_of(linked(), synced(1))) is None
    assert seen(linked(), synced(1), synced(2), requested()).status == "active"


def test_users_are_counted_while_they_are_synced() -> None:
    """One unit for the link, one a user, one for active; a failed user is done with too."""
    shown = seen(requested(users=21), linked(), *(synced(n) for n in range(1, 8)), failed(8))
    assert shown.progress.model_dump() == {
        "percent": 39,
        "completed": 9,
        "total": 23,
        "message": "Syncing users (8 of 21)…",
    }
    assert statuses(shown) == ["completed", "pending", "not_started"]
    assert [step.updated_at for step in shown.steps] == [at(2), at(2), None]


def test_a_run_is_active_once_link_and_users_are() -> None:
    """It ended with the last of them."""
    shown = seen(requested(), linked(), synced(1), synced(2))
    assert (shown.status, shown.progress.percent, shown.completed_at) == ("active", 100, at(4))
    assert (shown.error, shown.failure, statuses(shown)) == (None, None, ["completed"] * 3)


def test_a_run_without_users_is_active_with_its_link() -> None:
    """Nobody has to be waited for."""
    assert seen(requested(users=0), linked()).status == "active"


def test_removed_users_belong_to_the_run() -> None:
    """It ends once their access is gone too."""
    story = (requested(*AGAIN, reason="members", removed=(person(9),)), linked(2), synced(1, 2), synced(2, 2))
    assert seen(*story).progress.model_dump(include={"completed", "total"}) == {"completed": 3, "total": 5}
    assert seen(*story, revoked(9, 2)).status == "active"


def test_a_failed_link_ends_the_run_at_once() -> None:
    """The failure says what a client can do."""
    shown = seen(requested(), failed(step=Step.LINK, code="unreachable"))
    assert (shown.status, shown.error, shown.completed_at) == ("failed", "the cloud refused", at(2))
    assert shown.failure == Failure(step=Step.LINK, code="unreachable", user=None, retryable=True, tries=3)
    assert statuses(shown) == ["failed", "not_started", "not_started"]


def test_a_failed_user_fails_the_run_once_all_are_reported() -> None:
    """The first one is named, and how many failed."""
    story = [requested(users=3), linked(), failed(3), synced(1)]
    assert seen(*story).status == "provisioning"
    shown = seen(*story, failed(2))
    assert shown.failure
    assert shown.failure.user == FailedUser(id=3, email="u3@x.org")
    assert shown.error == "2 of 3 users failed, the first being u3@x.org: the cloud refused"
    assert (shown.status, shown.progress.percent, shown.completed_at) == ("failed", 80, at(5))
    assert statuses(shown) == ["completed", "failed", "not_started"]


def test_a_deadline_ends_a_run_that_waits_for_users() -> None:
    """Who reports after the end is counted, but the end stays."""
    shown = seen(requested(), linked(), failed(code="deadline"), synced(1), synced(2))
    assert (shown.status, shown.completed_at, shown.progress.completed) == ("failed", at(3), 3)
    assert shown.failure
    assert shown.failure.code == "deadline"


def test_a_failure_after_the_end_changes_nothing() -> None:
    """An ended run stays as it ended."""
    story = [requested(), linked(), synced(1), synced(2)]
    assert seen(*story, failed(step=Step.LINK)) == seen(*story)


def test_a_cancelled_run_has_failed() -> None:
    """At once, with a code of its own."""
    shown = seen(requested(events.ProvisioningCancelled, cancelled_by="ann"))
    assert (shown.status, shown.error, shown.completed_at) == ("failed", "The run was cancelled.", at(1))
    assert shown.failure
    assert (shown.failure.code, shown.failure.retryable) == ("cancelled", True)


def test_a_suspension_ends_suspended() -> None:
    """With the link's word; a project that is out of reach is at no time 100 percent."""
    story = [requested(events.SuspensionRequested), revoked(1), revoked(2)]
    assert seen(*story).status == "provisioning"
    shown = seen(*story, events.LinkSuspended(identifier="F81401", run=1, provider_project_id="p"))
    assert (shown.status, shown.completed_at, shown.progress.message) == ("suspended", at(4), "Suspended.")
    assert shown.progress.percent == 75


def test_a_removal_shows_suspended_until_it_ends_or_fails() -> None:
    """A user who can't be revoked fails it, at the step remove."""
    story = [requested(events.RemovalRequested), revoked(1)]
    assert (seen(*story).status, seen(*story).progress.message) == ("suspended", "Removing…")
    gone = seen(*story, events.LinkRemoved(identifier="F81401", run=1, provider_project_id="p"))
    assert (gone.status, gone.completed_at, gone.progress.message) == ("suspended", at(3), "Removed.")
    shown = seen(*story, failed(2))
    assert (shown.status, shown.failure and shown.failure.step) == ("failed", Step.REMOVE)


def test_a_delay_shows_until_its_step_moves() -> None:
    """The newest one, of a step that has not moved since."""
    waiting = seen(requested(), delayed(code="rate"), delayed(code="provider")).waiting
    assert waiting
    assert (waiting.code, waiting.attempt, waiting.tries) == ("provider", 2, 3)
    assert seen(requested(), delayed(), linked()).waiting is None
    assert seen(requested(), linked(), delayed(Step.USERS), synced(1)).waiting is None
    assert seen(requested(), linked(), synced(1), delayed(Step.USERS)).waiting is not None
    assert seen(requested(), linked(), delayed(Step.USERS), failed()).waiting is None


def test_a_parked_region_is_said_in_the_progress() -> None:
    """What holds up the whole region comes before the count of users; one more try of one user doesn't."""
    parked = seen(requested(), linked(), delayed(Step.USERS, code="maintenance"))
    assert parked.waiting
    assert parked.progress.message == f"Waiting for the provider: {parked.waiting.message}"
    assert seen(requested(), linked(), delayed(Step.USERS, code="retry")).progress.message.startswith("Syncing users")


def test_what_a_sweep_found_shows_on_the_timeline_alone() -> None:
    """It changes no picture."""
    drift = events.DriftDetected(identifier="F81401", run=1, user_id=1, drift=("role",))
    assert seen(orphan(), requested(), drift) == seen(requested())


def test_a_turn_passes_from_step_to_step() -> None:
    """Link before users; a removal takes the users' access before the link."""
    assert turn(facts_of(requested())) == (Step.LINK, BEGIN)
    assert turn(facts_of(requested(), linked())) == (Step.USERS, at(2))
    assert turn(facts_of(requested(users=0), linked())) is None
    removal = requested(events.RemovalRequested)
    assert turn(facts_of(removal)) == (Step.USERS, BEGIN)
    assert turn(facts_of(removal, events.AccessRevoked(identifier="F81401", run=1))) == (Step.LINK, at(2))


def test_moved_steps_are_those_that_differ() -> None:
    """A user more moves no step; the last one moves two."""
    before, more, last = (seen(requested(), linked(), *(synced(n) for n in range(1, upto))) for upto in (1, 2, 3))
    assert moved_steps(before, more) == ()
    assert moved_steps(more, last) == ("users", "active")
