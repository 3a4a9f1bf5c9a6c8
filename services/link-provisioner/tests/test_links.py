import pytest
from backbone.retries import RunUnknown, Snooze
from contracts.events import Step
from link_provisioner.links import Goal, Link, State, judge


def link(
    run: int = 2,
    state: State = State.PENDING,
    leased_for: float = 0,
    taken_at: float | None = None,
    leased_as: int | None = 7,
) -> Link:
    return Link(
        *("P1", "Shop", 1, "zadara", "here", run, Goal.ENSURE, state, None, 7),
        is_overdue=False,
        leased_for=leased_for,
        leased_as=leased_as,
        fact=None,
        taken_at=taken_at,
    )


def test_a_row_that_was_taken_is_worked_on() -> None:
    """Whoever took the lease goes on."""
    taken = link(taken_at=1.0)
    assert judge(taken, 2) is taken


def test_a_settled_row_is_handed_on_to_tell_its_fact() -> None:
    """A run that ended needs no lease."""
    settled = link(state=State.LINKED)
    assert judge(settled, 2) is settled


def test_an_older_run_is_dropped() -> None:
    """A newer run has made it pointless, be the row at work or not."""
    assert judge(link(run=3, leased_for=9), 2) is None


def test_a_cancelled_run_is_dropped() -> None:
    """Cancelling leaves nothing to do and nothing to tell."""
    assert judge(link(state=State.CANCELLED), 2) is None


@pytest.mark.parametrize("row", [None, link(run=1)])
def test_a_run_whose_request_has_not_come_yet_waits(row: Link | None) -> None:
    """Events may overtake each other."""
    with pytest.raises(RunUnknown):
        judge(row, 2)


def test_a_leased_row_is_waited_for_until_the_lease_ends() -> None:
    """The wait is as long as the lease that is open."""
    with pytest.raises(Snooze, match="somebody else") as caught:
        judge(link(leased_for=9.5), 2)
    assert caught.value.delay == 9.5


def test_an_older_runs_lease_is_looked_at_again_soon() -> None:
    """Its holder gives it back as soon as its call is answered, long before it would run out."""
    with pytest.raises(Snooze) as caught:
        judge(link(leased_for=9.5, leased_as=6), 2)
    assert caught.value.delay == 1


def test_a_lease_that_ended_meanwhile_is_waited_for_a_moment() -> None:
    """Taking failed and the look after it found the lease gone: the next look will take it."""
    with pytest.raises(Snooze) as caught:
        judge(link(leased_for=0), 2)
    assert caught.value.delay == 1


def test_a_removal_fails_at_its_own_step() -> None:
    """All other goals fail where people see the link."""
    assert [goal.step for goal in Goal] == [Step.LINK, Step.LINK, Step.REMOVE, Step.LINK]
