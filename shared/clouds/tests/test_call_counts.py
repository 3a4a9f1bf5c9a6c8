"""How many calls a run costs, as they are sent: constant when nothing changed, a few per user when all is new."""

from typing import Any

import pytest
from clouds.counting import counting_calls
from clouds.reconcile import expected_calls

PER_USER = {"keystone": 3, "zadara": 4, "sim": 4}


@pytest.mark.parametrize("size", [1, 30, 200])
async def test_a_cold_run_costs_a_few_calls_per_user_and_an_unchanged_one_a_constant(peer: Any, size: int) -> None:
    """At most 12 + 3 (zCompute 4) calls per user at first, login and link included, and then at most 12 in all."""
    desired = [peer.user(number) for number in range(size)]
    with counting_calls() as cold:
        await peer.link()
        await peer.run(desired)
    assert cold.made <= 12 + PER_USER[peer.code] * size
    with counting_calls() as unchanged:
        await peer.link()
        await peer.run(desired)
    assert unchanged.made <= 12


async def test_the_bars_hold_for_a_thousand_users(simulated: Any) -> None:
    """A thousand users are no more than a thousand times one, and nothing when nothing changed (zCompute)."""
    await test_a_cold_run_costs_a_few_calls_per_user_and_an_unchanged_one_a_constant(simulated, 1000)


async def test_a_preview_foretells_the_calls(peer: Any) -> None:
    """The calls that the plan expects are the calls that the run makes, rotations and removals included."""
    await peer.link()
    await peer.run([peer.user(number) for number in range(4)])
    desired = [peer.user(1, rotate=True), peer.user(2), peer.user(7), peer.user(3, peer.cloud.capabilities.member_role)]
    changes = await peer.plan(desired)
    with counting_calls() as calls:
        for change in changes:
            await peer.cloud.sync_user(peer.project_id, change)
            await peer.cloud.settle_user(peer.project_id, change)
    assert calls.made == expected_calls(changes) > 0
