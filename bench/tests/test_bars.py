"""The verdicts follow from figures alone, so they are proved without a measurement."""

from bench.bars import judge
from bench.figures import Figure, figures_of, noise, percentile


def test_a_ratio_is_judged_against_the_peer_of_the_same_run() -> None:
    """Three times taskiq is met at 300 to 100, and missed at 299."""
    sides = {"UCA": {"w3_users_per_s": Figure.of([300])}, "taskiq": {"w3_users_per_s": Figure.of([100])}}
    met = {verdict.name: verdict.met for verdict in judge(sides, {})}
    assert met["W3 users/s, to taskiq"] is True
    sides["UCA"] = {"w3_users_per_s": Figure.of([299])}
    met = {verdict.name: verdict.met for verdict in judge(sides, {})}
    assert met["W3 users/s, to taskiq"] is False


def test_what_was_not_measured_is_said_and_never_met() -> None:
    """An empty run has no bar that is met."""
    verdicts = judge({}, {})
    assert {verdict.met for verdict in verdicts} == {None}
    assert all(str(verdict).endswith("not measured") for verdict in verdicts)


def test_a_bar_ends_in_its_verdict() -> None:
    """A line can be found by its end."""
    (missed,) = [each for each in judge({"UCA": {"pss_mb": Figure.of([321])}}, {}) if "memory, four" in each.name]
    assert str(missed).endswith("not met")


def test_one_stuck_project_misses_the_bar() -> None:
    """Nothing may be stuck, not one of thousands."""
    found = {"stuck": 1, "never_run": 0, "early": 0, "repeats_per_kill": 3, "double_effects": 0}
    verdicts = {each.name: each.met for each in judge({}, {"kills": found | {"worker_kills": 50, "api_kills": 50}})}
    assert verdicts["W4 stuck"] is False
    assert verdicts["W4 calls repeated a worker kill"] is True


def test_medians_are_of_rounds_with_their_spread() -> None:
    """A round's own median counts once, however many samples it has."""
    figures = figures_of([{"w1_ms": [260, 270, 280]}, {"w1_ms": [300]}, {"w1_ms": [290]}], ideal_ms=250)
    assert (figures["w1_p50_ms"].value, figures["w1_p50_ms"].least, figures["w1_p50_ms"].most) == (290, 270, 300)
    assert figures["w1_over_ms"].value == 40


def test_noise_is_what_other_programs_used() -> None:
    """Half of two cores for the whole time is half the machine."""
    assert noise([{"cpu_seconds": {"others": 10.0, "stolen": 0.0, "wall": 10.0}}], cores=2) == 0.5


def test_a_percentile_of_few_values_is_one_of_them() -> None:
    """The 99th of three values is the largest."""
    assert percentile([3, 1, 2], 0.99) == 3
