"""What workers learn and tell of the regions, over a transaction that only remembers."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from clouds.errors import ProviderUnavailable, Transient
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from clouds.regions import Region
from clouds.testing import free_port
from clouds.watch import RegionWatch
from pydantic import SecretStr


class Told:
    """Answers with the regions in maintenance, and keeps what was reported."""

    def __init__(self) -> None:
        self.maintained: list[str] = []
        self.reports: list[dict[str, Any]] = []

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator["Told"]:
        yield self

    async def execute(self, _: Any, values: dict[str, Any] | None = None) -> "Told":
        if values is not None:
            self.reports.append(values)
        return self

    def all(self) -> Sequence[Any]:
        return [SimpleNamespace(region=each) for each in self.maintained]


@pytest.fixture
async def clouds() -> AsyncIterator[Clouds]:
    """One region, where nobody listens."""
    url = f"http://127.0.0.1:{free_port()}"
    region = Region(
        code="here", name="Here", provider="zadara", url=url, account="uca", username="u", password=SecretStr("p")
    )
    opened = Clouds({"here": region})
    yield opened
    await opened.aclose()


async def test_maintenance_is_learned_and_forgotten(clouds: Clouds) -> None:
    """A region in maintenance is not called; at its end it is again."""
    told = Told()
    watch = RegionWatch(clouds, told.transaction, "one")
    told.maintained = ["here", "a region of somebody else"]
    await watch.look()
    with pytest.raises(ProviderUnavailable) as refusal:
        await clouds.open("here").find_project(ProjectSpec("F1", "One"))
    assert refusal.value.reason == "maintenance"
    assert clouds.health("here").calls == 0
    told.maintained = []
    await watch.look()
    with pytest.raises(Transient):  # nobody listens there
        await clouds.open("here").find_project(ProjectSpec("F1", "One"))
    assert clouds.health("here").calls > 0


async def test_rates_are_of_the_last_minute(clouds: Clouds, monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls and failures are told a minute, from the counts of the last one."""
    told, now = Told(), 1000.0
    watch = RegionWatch(clouds, told.transaction, "one", clock=lambda: now)
    await watch.look()
    http = clouds._https["here"]
    http._calls, http._failures = 30, 6
    now += 27
    await watch.look()
    report = told.reports[-1]
    assert report["regions"] == ["here"]
    assert report["breakers"] == ["closed"]
    assert report["calls"] == [pytest.approx(60)]
    assert report["failures"] == [pytest.approx(12)]
