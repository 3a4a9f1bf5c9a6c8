"""Clouds that fail: every user ends with one working key and nothing exists twice."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from clouds.errors import CloudError, ProviderUnavailable
from clouds.port import UserOutcome
from clouds.providers import Clouds
from clouds.settings import CloudSettings
from clouds.testing import running_keystone

FAULTS: dict[str, dict[str, float]] = {
    "errors": {"error_rate": 0.3},
    "gateway errors": {"error_rate": 0.3, "error_status": 503},
    "hangs": {"hang_rate": 0.3},
    "cuts after the effect": {"cut_after_success_rate": 0.3},
    "a rate limit": {"rate_limit_per_s": 40, "retry_after_s": 1},
    "all of them": {"error_rate": 0.1, "hang_rate": 0.1, "cut_after_success_rate": 0.1},
}


async def until_done(attempt: Callable[[], Awaitable[bool]], tries: int = 12) -> None:
    """As a service does: try again after a failure, and wait as long as the provider asks for."""
    for _ in range(tries):
        try:
            if await attempt():
                return
        except ProviderUnavailable as parked:
            await asyncio.sleep(min(parked.retry_after, 1.0))
        except CloudError as failure:
            if not failure.retryable:
                raise
    raise AssertionError("still failing after all tries")


async def run_to_the_end(peer: Any, size: int) -> None:
    desired = [peer.user(number) for number in range(size)]

    async def link() -> bool:
        return bool(await peer.link())

    async def sync() -> bool:
        return all(isinstance(result, UserOutcome) for result in await peer.run(desired))

    await until_done(link)
    await until_done(sync)


@pytest.mark.parametrize("fault", FAULTS)
async def test_every_user_gets_one_working_key_whatever_the_cloud_does(
    patient: Any, simulator: Any, authenticates: Any, fault: str
) -> None:
    """With 30 % of the calls failing in one way or in all of them: one project, one account and one key each."""
    await simulator.behave(**FAULTS[fault])
    await run_to_the_end(patient, 8)
    await simulator.behave(error_rate=0, hang_rate=0, cut_after_success_rate=0, rate_limit_per_s=None)
    stats = await simulator.stats()
    assert stats["duplicate_effects"] == 0
    assert stats["objects"] == {"projects": 1, "users": 8, "grants": 8, "policies": 8, "active_keys": 8}
    assert all([await authenticates(patient, number) for number in range(8)])


async def test_a_keystone_with_a_locked_database_is_lived_with(make_peer: Any) -> None:
    """Eight threads on SQLite answer many writes with a 500 that is no JSON; all users end with one key each."""
    with running_keystone(threads=8) as keystone:
        region = keystone.region("locked")
        clouds = Clouds({"locked": region}, CloudSettings(breaker_open=0.3))
        peer = make_peer(clouds, "locked")
        await run_to_the_end(peer, 40)
        assert clouds.health("locked").failures > 10
        snapshot = await peer.read()
        held = {user_id: keys for user_id, keys in snapshot.keys.items() if keys}
        assert held == {
            peer.records[number].provider_user_id: frozenset({peer.keys[number].id}) for number in range(40)
        }
        assert all(not change.actions for change in await peer.plan([peer.user(number) for number in range(40)]))
        await clouds.aclose()
