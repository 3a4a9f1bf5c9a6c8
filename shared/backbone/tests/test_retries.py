import pytest
from backbone.retries import RUNGS, UNKNOWN_SECONDS, GiveUp, Retry, RunUnknown, Snooze, backoff, decide, rung_for
from hypothesis import given
from hypothesis import strategies as st


class Refusal(Exception):
    """A fault as a cloud's error is one."""

    def __init__(self, *, retryable: bool = True, retry_after: float | None = None, costs_try: bool = True) -> None:
        super().__init__("in words")
        self.code = "refused"
        self.retryable = retryable
        self.retry_after = retry_after
        self.costs_try = costs_try


def test_a_fault_backs_off_over_the_rungs() -> None:
    """5 s, then 30 s, each at full length when the draw is 1."""
    assert decide(1, Refusal()) == Retry("5s", 5, 2)
    assert decide(2, Refusal()) == Retry("30s", 30, 3)


def test_tries_end_with_the_faults_own_words() -> None:
    """After the last try people read what the fault said, and whether it may work another time."""
    assert decide(3, Refusal()) == GiveUp("refused", "in words", retryable=True, tries=3, expected=True)


def test_a_fault_that_no_try_helps_ends_at_once() -> None:
    """It is given up at the first try."""
    assert decide(1, Refusal(retryable=False)) == GiveUp("refused", "in words", False, 1, expected=True)


def test_an_error_of_ours_is_tried_too_and_then_not_expected() -> None:
    """A bug may pass by itself; one that doesn't is for a person of ours."""
    assert isinstance(decide(2, KeyError("x")), Retry)
    assert decide(3, KeyError("x")) == GiveUp("KeyError", "'x'", retryable=True, tries=3, expected=False)


@given(st.integers(1, 1000))
def test_what_costs_no_try_never_ends(attempt: int) -> None:
    """A rate limit or an open breaker is waited for, as long as it asks, at the same try."""
    assert decide(attempt, Refusal(costs_try=False, retry_after=7)) == Retry("30s", 7, attempt)
    assert decide(attempt, Snooze("later", 100)) == Retry("2m", 100, attempt)


def test_an_event_waits_for_its_runs_request_but_not_for_ever() -> None:
    """A lost request would keep it going round unseen: after an hour a person learns of it."""
    unknown = RunUnknown("not come", 1)
    assert decide(1, unknown, waited=UNKNOWN_SECONDS) == Retry("5s", 1, 1)
    assert decide(1, unknown, waited=UNKNOWN_SECONDS + 1) == GiveUp("unknown_run", "not come", True, 1, expected=False)


def test_what_costs_no_try_and_names_no_time_waits_the_shortest() -> None:
    """Five seconds."""
    assert decide(1, Refusal(costs_try=False)) == Retry("5s", 5, 1)


def test_a_longer_retry_after_goes_before_the_backoff() -> None:
    """The cloud is not asked again before it said."""
    assert decide(1, Refusal(retry_after=45)) == Retry("2m", 45, 2)
    assert decide(2, Refusal(retry_after=1)) == Retry("30s", 30, 3)


@given(st.integers(1, 50), st.floats(0, 1))
def test_jitter_shortens_a_delay_by_half_at_most(attempt: int, jitter: float) -> None:
    """Equal failures spread, and none comes back early."""
    longest = backoff(attempt, 1)
    assert longest / 2 <= backoff(attempt, jitter) <= longest


@given(st.floats(0, 600))
def test_a_rung_can_hold_what_is_put_on_it(delay: float) -> None:
    """And no shorter rung could."""
    rung = rung_for(delay)
    shorter = [longest for name, longest in RUNGS.items() if longest < RUNGS[rung]]
    assert delay <= RUNGS[rung]
    assert all(longest < delay for longest in shorter)


@pytest.mark.parametrize("delay", [601, 86_400])
def test_a_delay_beyond_the_longest_rung_is_cut(delay: float) -> None:
    """The message looks again after ten minutes."""
    assert decide(1, Snooze("later", delay)) == Retry("10m", 600, 1)
