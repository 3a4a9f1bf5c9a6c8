"""What was asked of the cloud and what it holds: the figures that call-count and duplicate checks read."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from cloud_simulator.cloud import Cloud


@dataclass(slots=True)
class Stats:
    """Counts since the start or the last reset; `in_flight` are calls not yet answered or closed."""

    by_route: Counter[str] = field(default_factory=Counter)
    rate_limited: int = 0
    in_flight: int = 0
    in_flight_peak: int = 0

    def arrived(self, route: str) -> None:
        """Every call counts when it arrives, whatever becomes of it."""
        self.by_route[route] += 1
        self.in_flight += 1
        self.in_flight_peak = max(self.in_flight_peak, self.in_flight)

    def left(self) -> None:
        """The call was answered, or its connection closed."""
        self.in_flight -= 1

    def reset(self) -> None:
        """Calls that are still in flight stay so: they will leave."""
        self.by_route.clear()
        self.rate_limited = 0
        self.in_flight_peak = self.in_flight


def report(stats: Stats, cloud: Cloud) -> dict[str, Any]:
    """The answer of `GET /_sim/stats`."""
    places = [access for users in cloud.access.values() for access in users.values()]
    return {
        "calls": {"total": stats.by_route.total(), "by_route": dict(sorted(stats.by_route.items()))},
        "objects": {
            "projects": sum(map(len, cloud.projects.values())),
            "users": sum(map(len, cloud.users.values())),
            "grants": sum(access.role is not None for access in places),
            "policies": sum(len(access.policies) for access in places),
            "active_keys": sum(len(access.keys) for access in places),
        },
        "duplicate_effects": cloud.duplicates_made + duplicate_keys(cloud),
        "duplicate_keys": duplicate_keys(cloud),
        "in_flight_peak": stats.in_flight_peak,
        "rate_limited": stats.rate_limited,
    }


def duplicate_keys(cloud: Cloud) -> int:
    """Keys beside a newer one of the same user and project.

    The other thing that a retry may do twice, a second project of one link mark, counts when it is made and for good:
    deleting it later does not undo that it was made. A key counts only while it is there, because a rotation rightly
    holds two keys for a moment: read this when no rotation is under way. A second user of one name cannot be made
    (409), so none is ever counted.
    """
    return sum(max(0, len(access.keys) - 1) for users in cloud.access.values() for access in users.values())
