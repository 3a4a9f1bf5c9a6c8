import pytest
from cloud_simulator.behaviour import Behaviour, Faults, strikes
from cloud_simulator.errors import Invalid
from pydantic import ValidationError


def test_what_is_left_out_keeps_its_value() -> None:
    """Changes are merged, inside latency_ms too."""
    first = Behaviour().merged({"latency_ms": {"user": 5}, "error_rate": 0.5})
    second = first.merged({"latency_ms": {"default": 1}, "down": True})
    assert second.latency_ms.model_dump() == {"default": 1, "project": 200, "user": 5}
    assert (second.error_rate, second.down) == (0.5, True)


@pytest.mark.parametrize("changes", [{"hang": 1}, {"latency_ms": {"users": 1}}, {"error_rate": 2}, {"latency_ms": 5}])
def test_a_wrong_change_is_refused(changes: dict[str, object]) -> None:
    """Unknown fields and impossible values are named, never ignored."""
    with pytest.raises(ValidationError):
        Behaviour().merged(changes)


def test_a_burst_of_one_second_passes_the_rate_limit() -> None:
    """The bucket holds one second's worth; the next call finds it empty."""
    faults = Faults(Behaviour(rate_limit_per_s=0.001))
    assert [faults.admits(), faults.admits()] == [True, False]
    assert Faults(Behaviour()).admits()


def test_failing_users_are_known_by_name_or_email_whatever_their_case() -> None:
    """Only writes to them are refused."""
    faults = Faults(Behaviour(fail_emails=["Bad@x.org"]))
    for name, email in (("bad@X.org", ""), ("other", "BAD@x.org")):
        with pytest.raises(Invalid):
            faults.refuse_user(name, email)
    faults.refuse_user("good@x.org", "good@x.org")


def test_failing_projects_are_known_by_their_beginning() -> None:
    """A prefix is enough, and no prefix refuses nothing."""
    faults = Faults(Behaviour(fail_project_names=["bad-"]))
    with pytest.raises(Invalid):
        faults.refuse_project("bad-shop")
    faults.refuse_project("not-bad-")
    Faults(Behaviour()).refuse_project("bad-shop")


def test_the_ends_of_chance_are_certain() -> None:
    """0 never strikes and 1 always does."""
    assert not any(strikes(0) for _ in range(100))
    assert all(strikes(1) for _ in range(100))
