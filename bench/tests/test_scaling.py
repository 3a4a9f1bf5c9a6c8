"""The plan for more follows from measured costs, and the simulation agrees with it."""

from bench.scaling import STEPS, Costs, plan, simulate

COSTS = Costs({**dict.fromkeys(STEPS, 6.0), "broker": 3.0, "database": 5.0})


def test_replicas_grow_with_the_load_and_leave_headroom() -> None:
    """6 ms a project and 100,000 projects a minute are 10 cores, so 17 replicas at 60 %."""
    assert plan(COSTS, 100_000)["user-syncer"] == 17
    assert plan(COSTS, 10)["user-syncer"] == 2


def test_the_planned_replicas_keep_queues_short_and_too_few_do_not() -> None:
    """What the plan gives waits little; a step with less than its load waits without end."""
    enough = {part: int(plan(COSTS, 10_000)[part]) for part in STEPS}
    assert simulate(COSTS, enough, 10_000) < 0.5
    assert simulate(COSTS, enough | {"user-syncer": 1}, 20_000) > 5 * simulate(COSTS, enough, 10_000)
