"""The verdicts follow from figures alone, so they are proved without a measurement."""

from typing import Any

import pytest

from bench.bars import beside, judge
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
    verdicts = {
        each.name: each.met
        for each in judge({}, {"kills": found | {"in_flight": 12, "worker_kills": 50, "api_kills": 50}})
    }
    assert verdicts["W4 stuck"] is False
    assert verdicts["W4 calls repeated a worker kill"] is True


def test_a_lost_project_misses_the_bar_and_sizes_are_told() -> None:
    """A ratio says little without how far it goes."""
    curves = {"overhead_ms": {10: 40.0, 5000: 900.0}, "status_p99_ms": {1000: 4.0, 1_000_000: 4.1}}
    curves |= {"list_p99_ms": {1000: 4.0, 1_000_000: 5.0}, "projects_per_s": {1: 30.0, 4: 110.0}}
    ratios = {"overhead_growth": 0.05, "status_ratio": 1.03, "list_ratio": 1.25, "drain_ratio": 3.7}
    found = judge({}, {"growth": {**curves, **ratios, "lost": 1, "backlog": 10_000}})
    told = {each.name: (each.figure, each.met) for each in found if each.name.startswith("W5")}
    assert told["W5 status p99, most to fewest"] == ("1.03 x, up to 1,000,000", True)
    assert told["W5 list p99, most to fewest"][1] is False
    assert told["W5 backlog, most replicas to one"] == ("3.70 x, up to 4", True)
    assert told["W5 backlog, lost"] == ("1 of 10,000 each time", False)


def test_a_short_soak_is_told_and_meets_nothing() -> None:
    """Memory that is flat for a quarter of a minute says nothing of half an hour."""
    soaks = [
        {"soak": {"growth": growth, "minutes": minutes}} for growth, minutes in ((0.0, 0.25), (0.04, 30), (0.06, 30))
    ]
    assert [judge({}, each)[-1].met for each in soaks] == [None, True, False]


def test_the_zcompute_way_is_told_against_its_own_ideal_and_judged_by_no_bar() -> None:
    """It stands beside the bars, with the rounds' extremes."""
    rounds = [{"w1_ms": [1100.0, 1300.0, 1200.0], "w3_users_per_s": 400.0}, {"w1_ms": [1210.0]}]
    found = {"zcompute": {"calls_per_user": 4, "in_flight": 12, "ideal_ms": 1050.0, "rounds": rounds}}
    (line,) = beside(found)
    assert "W1 p50 1205 ms [1200–1210], ideal 1050 ms, over ideal 155 ms [150–160]" in line
    assert "W3 400 users/s" in line
    assert {verdict.met for verdict in judge({}, found)} == {None}


def test_repeats_in_other_set_ups_are_told_and_judged_by_no_bar() -> None:
    """A kill repeats what the process had in flight: more with the peers' 100 than with the product's own number."""
    kills = {"stuck": 0, "never_run": 0, "early": 0, "repeats_per_kill": 21, "double_effects": 0}
    kills |= {"in_flight": 12, "worker_kills": 50, "api_kills": 50}
    beside_it = [
        {"replicas": 1, "in_flight": 100, "repeats_per_kill": 171, "each": [{}, {}]},
        {"replicas": 4, "in_flight": 100, "repeats_per_kill": 48, "each": [{}]},
    ]
    found = {"kills": kills | {"beside": beside_it}}
    assert {each.name: each.met for each in judge({}, found)}["W4 calls repeated a worker kill"] is True
    assert beside(found) == [
        "W4 calls repeated a user-syncer kill where as many are in flight as the peers make:"
        " 171 with 100 in one process (2 kills), 48 with 100 in 4 processes (1 kills);"
        " the bar's are the product's own 12"
    ]


@pytest.mark.parametrize("further", [{}, {"zcompute": {"calls_per_user": 4, "in_flight": 12, "ideal_ms": 1050.0}}])
def test_what_failed_or_was_not_run_is_told_as_such(further: dict[str, Any]) -> None:
    """A round that failed has no figures."""
    if further:
        further["zcompute"] |= {"rounds": [{"failed": "TimeoutError()"}]}
    assert all("W1 p50 -, ideal 1050 ms, over ideal -; W3 -" in line for line in beside(further))


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
