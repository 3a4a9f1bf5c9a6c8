"""How long a run is likely to take: five minutes, until enough runs of its kind have ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from contracts.status import size_class

DEFAULT_SECONDS = 300.0
ENOUGH_RUNS = 20
"""Below this many ended runs of a provider, region and size, what they took says too little."""


def estimate(runs: int | None, p50: float | None, p95: float | None) -> dict[str, Any] | None:
    """What a run's project keeps of it; None where too few runs have ended."""
    if runs is None or p50 is None or p95 is None or runs < ENOUGH_RUNS:
        return None
    return {"p50_seconds": round(p50, 3), "p95_seconds": round(p95, 3), "runs": runs}


def learned(known: Mapping[str, Sequence[Any]] | None, size: int) -> dict[str, Any] | None:
    """The estimate for a run of this many participants, from those of its provider and region by size."""
    return estimate(*(known or {}).get(size_class(size), (None, None, None)))


def completion(requested_at: datetime, learned: Mapping[str, Any] | None) -> datetime:
    """When a run that was asked for then is likely to have ended: the median's time."""
    return requested_at + timedelta(seconds=learned["p50_seconds"] if learned else DEFAULT_SECONDS)


def range_of(requested_at: datetime, learned: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """The learned times, and from when to when: half of such runs have ended at ``earliest``, 95 % at ``latest``."""
    if not learned:
        return None
    return {
        **learned,
        "earliest": requested_at + timedelta(seconds=learned["p50_seconds"]),
        "latest": requested_at + timedelta(seconds=learned["p95_seconds"]),
    }
