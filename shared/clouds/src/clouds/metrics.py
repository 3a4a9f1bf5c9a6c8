"""What Prometheus sees of the calls on one region; label lookups are kept, since they cost more than the counting."""

from collections.abc import Callable
from functools import lru_cache

from prometheus_client import Counter, Gauge, Histogram

_CALLS = Counter(
    "uca_cloud_calls_total",
    "Requests sent to a cloud; outcome is ok, refused, limited, failed or unanswered.",
    ("provider", "region", "operation", "outcome"),
)
_SECONDS = Histogram(
    "uca_cloud_call_seconds",
    "From sending a request to a cloud to the last byte of the answer.",
    ("provider", "region", "operation"),
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 15),
)
_BREAKER = Gauge(
    "uca_cloud_breaker_state",
    "0 closed, 1 half-open, 2 open, as this process sees it.",
    ("provider", "region"),
)
_MAINTENANCE = Gauge("uca_cloud_maintenance", "1 while an admin has the region in maintenance.", ("provider", "region"))


observers: list[Callable[[str, str, str, str, float], None]] = []
"""Told of each call that has ended: provider, region, operation, outcome, seconds. A service's traces listen here."""


class CallMetrics:
    """One region's part of the metrics."""

    def __init__(self, provider: str, region: str) -> None:
        self._region = provider, region
        self._calls = lru_cache(maxsize=256)(lambda op, outcome: _CALLS.labels(provider, region, op, outcome))
        self._seconds = lru_cache(maxsize=64)(lambda op: _SECONDS.labels(provider, region, op))
        self._breaker = _BREAKER.labels(provider, region)
        self._maintenance = _MAINTENANCE.labels(provider, region)

    def called(self, operation: str, outcome: str, seconds: float) -> None:
        self._calls(operation, outcome).inc()
        self._seconds(operation).observe(seconds)
        for tell in observers:
            tell(*self._region, operation, outcome, seconds)

    def breaker(self, state: int) -> None:
        self._breaker.set(state)

    def maintenance(self, on: bool) -> None:
        self._maintenance.set(on)
