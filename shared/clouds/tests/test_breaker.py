"""The breaker's states, with a clock that the test moves."""

from clouds.breaker import Breaker, State, Wait
from clouds.settings import CloudSettings

SETTINGS = CloudSettings(breaker_failures=3, breaker_open=5, breaker_open_max=15)


def opened() -> Breaker:
    """Opened at second 0."""
    breaker = Breaker(SETTINGS)
    assert [breaker.failed(0, 0) for _ in range(3)] == [False, False, True]
    return breaker


def test_failures_in_a_row_open_it() -> None:
    """A success in between begins the count anew."""
    breaker = Breaker(SETTINGS)
    for _ in range(5):
        breaker.failed(0, 0)
        breaker.failed(0, 0)
        breaker.succeeded(0)
    assert breaker.state(0) is State.CLOSED
    assert breaker.ask(0) is None


def test_calls_that_hang_beside_answered_ones_do_not_open_it() -> None:
    """They end late and together; only those that began after the last answer may mean that the cloud is down."""
    breaker = Breaker(SETTINGS)
    breaker.succeeded(1)
    for _ in range(5):
        assert not breaker.failed(2, began=0.5)
    assert [breaker.failed(3, began=1.5) for _ in range(3)] == [False, False, True]


def test_open_says_how_long_to_wait() -> None:
    """Nothing is let through until the time is over."""
    breaker = opened()
    assert breaker.state(1) is State.OPEN
    assert breaker.ask(1) == Wait("breaker", 4)


def test_half_open_lets_one_probe_through() -> None:
    """The others wait until the probe's end decides."""
    breaker = opened()
    assert breaker.state(5) is State.HALF_OPEN
    assert breaker.ask(5) is None
    assert breaker.ask(5) is not None
    breaker.succeeded(0)
    assert breaker.state(5) is State.CLOSED
    assert breaker.ask(5) is None


def test_a_failed_probe_doubles_the_wait_up_to_a_bound() -> None:
    """5, 10, 15, 15 seconds."""
    breaker, now = opened(), 0.0
    for seconds in (5, 10, 15, 15):
        wait = breaker.ask(now)
        assert wait == Wait("breaker", seconds)
        now += seconds
        assert breaker.ask(now) is None
        assert breaker.failed(now, now)


def test_a_cancelled_probe_makes_room_for_another() -> None:
    """A cancellation says nothing of the cloud, and must not wedge the breaker."""
    breaker = opened()
    assert breaker.ask(5) is None
    breaker.abandoned()
    assert breaker.ask(5) is None


def test_calls_from_before_do_not_prolong_the_wait() -> None:
    """Those that were in flight when it opened fail late, and change nothing."""
    breaker = opened()
    assert not breaker.failed(4, 0)
    assert breaker.ask(4) == Wait("breaker", 1)


def test_a_cloud_is_in_trouble_when_a_quarter_of_its_calls_fail_at_first() -> None:
    """However they are spread; and no longer once they do well again."""
    breaker = Breaker(SETTINGS)
    for well in (False, True, True, True, False, True, True, True, True, True, True):
        breaker.began(well=well)
    assert not breaker.in_trouble
    breaker.began(well=False)
    assert breaker.in_trouble
    breaker.began(well=True)
    assert breaker.in_trouble is False


def test_a_refused_login_opens_it_at_once() -> None:
    """For longer each time, lest the account is locked; and a call whose token is refused meanwhile closes nothing."""
    breaker, now = Breaker(SETTINGS), 0.0
    for seconds in (5, 10, 15, 15):
        assert breaker.ask(now) is None
        breaker.abandoned()
        assert breaker.ask(now) is None
        assert breaker.refused(now) == breaker.ask(now) == Wait("login", seconds)
        now += seconds
    breaker.succeeded(now)
    assert breaker.state(now) is State.CLOSED


def test_a_rate_limit_holds_until_it_is_over() -> None:
    """It is an answer, so it counts as no failure; the longest wait wins."""
    breaker = Breaker(SETTINGS)
    breaker.limited(0, 30)
    breaker.limited(1, 2)
    assert breaker.ask(10) == Wait("rate", 20)
    assert breaker.ask(30) is None
    assert breaker.state(10) is State.CLOSED


def test_care_follows_a_rate_limit() -> None:
    """For twice as long as the cloud asked to wait, and for some seconds at most."""
    breaker = Breaker(SETTINGS)
    assert not breaker.is_careful(0)
    breaker.limited(10, 2)
    assert [breaker.is_careful(now) for now in (10, 12, 15.9, 16)] == [True, True, True, False]
    breaker.limited(20, 60)
    assert [breaker.is_careful(now) for now in (89, 91)] == [True, False]


def test_maintenance_comes_before_all() -> None:
    """While an admin says so nothing is called, whatever else holds."""
    breaker = opened()
    breaker.maintenance = True
    wait = breaker.ask(100)
    assert wait is not None
    assert wait.reason == "maintenance"
    breaker.maintenance = False
    assert breaker.ask(100) is None
