"""How many calls a run makes, counted by the cloud."""

from typing import Any

import pytest
from cloud_simulator.testing import RunningSimulator
from contracts.events import ProvisioningRequested, UserSynced
from user_syncer.testing import linked_project


@pytest.mark.parametrize("users", [1, 30, 200, 1000])
async def test_calls_of_a_cold_and_an_unchanged_run(make_replica: Any, simulator: RunningSimulator, users: int) -> None:
    """Cold: at most 12, and 4 a user (account, role, policy, key). Unchanged: at most 12, whatever the size."""
    replica = make_replica(chunk_size=50)
    project = await linked_project(make_replica())

    async def calls() -> int:
        return int((await simulator.stats())["calls"]["total"])

    project.replica = replica
    before = await calls()
    await project.provision(users=users)
    cold = await calls() - before
    await project.provision(ProvisioningRequested, run=2, users=users, reason="provision")
    unchanged = await calls() - before - cold
    assert len(replica.told(UserSynced)) == 2 * users
    assert cold <= 12 + 4 * users
    assert unchanged <= 12
    stats = await simulator.stats()
    assert stats["duplicate_effects"] == 0
    assert stats["in_flight_peak"] <= 12
