"""The benchmark's providers, by the calls that they make."""

from typing import Any

import pytest
from clouds.answers import Answer
from clouds.port import CloudProject, DesiredUser, Snapshot
from clouds.reconcile import plan
from clouds.regions import Region

from bench.ours import DEFAULT_IN_FLIGHT
from bench.provider.bench_cloud import BenchCloud, ZComputeWay
from bench.workloads import IDEAL_MS
from bench.zcompute import CALLS
from bench.zcompute import IDEAL_MS as ZCOMPUTE_IDEAL_MS

REGION = Region(code="b", name="b", provider="bench", url="http://127.0.0.1:1", account="b", username="b")


class Calls:
    """Stands for a region's HTTP, and remembers what was asked."""

    def __init__(self) -> None:
        self.made: list[str] = []

    async def call(self, operation: str, method: str, path: str, *, repeatable: bool) -> Answer:
        self.made.append(operation)
        return Answer(200, {}, b'{"ok": true, "key": {"id": "AK1", "secret": "s"}}')


@pytest.mark.parametrize(("way", "calls"), [(BenchCloud, 1), (ZComputeWay, CALLS)])
async def test_a_new_user_takes_one_call_or_four(way: Any, calls: int) -> None:
    """As planned, as counted, and with a key at the end."""
    http = Calls()
    cloud = way(REGION, http)
    user = DesiredUser(1, "ada@example.com", "member")
    (change,) = plan([user], Snapshot(CloudProject("p", "p")), {}, cloud.capabilities)
    outcome = await cloud.sync_user("p", change)
    assert (change.calls, len(http.made)) == (calls, calls)
    assert outcome.key is not None


def test_the_zcompute_ideal_is_all_calls_twelve_at_a_time() -> None:
    """50 users in one wave of 100, or 200 calls in 17 waves of 12."""
    assert IDEAL_MS == 250
    assert (DEFAULT_IN_FLIGHT, ZCOMPUTE_IDEAL_MS) == (12, 200 + 17 * 50)
