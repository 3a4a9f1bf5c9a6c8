"""The zCompute way beside the comparison: a user takes four calls, and 12 calls are in flight. No bar is for it."""

from collections.abc import Callable
from typing import Any

from bench import compare
from bench.ground import Ground
from bench.ours import DEFAULT_IN_FLIGHT, Ours
from bench.workloads import LINK_MS, USER_MS, W1_USERS

CALLS = 4
"""Account, role, policy, key. What a run reads of the cloud before (two calls, whatever the size) is left out."""
IDEAL_MS = LINK_MS + USER_MS * -(-W1_USERS * CALLS // DEFAULT_IN_FLIGHT)
"""One link call, then all calls of all users, 12 at a time without a pause: 200 + 50 * ceil(50 * 4 / 12) = 1050."""


async def run(ground: Ground, effort: compare.Effort, say: Callable[[str], None]) -> dict[str, Any]:
    """W1 and W3, in as many rounds as the comparison takes."""
    rounds = []
    for number in range(effort.rounds):
        say(f"round {number + 1} of {effort.rounds}: UCA, zCompute way")
        side = Ours(ground, provider="bench-zcompute", in_flight=DEFAULT_IN_FLIGHT)
        rounds.append(await compare.measure(side, effort, ("w1", "w3")))
    return {"calls_per_user": CALLS, "in_flight": DEFAULT_IN_FLIGHT, "ideal_ms": IDEAL_MS, "rounds": rounds}
