"""How long a run is likely to take."""

from project_api.runs.estimates import estimate


def test_few_runs_say_nothing() -> None:
    """Twenty ended runs are enough to learn from; below that there is no estimate."""
    assert estimate(19, 12.5, 40.0) is None
    assert estimate(20, 12.5, 40.0) == {"p50_seconds": 12.5, "p95_seconds": 40.0, "runs": 20}
