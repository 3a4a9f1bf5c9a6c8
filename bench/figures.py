"""Figures from samples: medians with their spread, and whether they can be trusted. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

MOST_OTHERS = 0.15
"""Part of the machine's CPU that something else may have used before a figure is too noisy to be trusted."""
MOST_SPREAD = 0.5
"""Distance of the rounds' extremes over their median, from where on a figure is too noisy."""


def percentile(values: Iterable[float], part: float) -> float:
    """The smallest value that at least this part of the values doesn't exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * part))]


@dataclass(frozen=True)
class Figure:
    """A median over rounds, and the rounds' extremes."""

    value: float
    least: float
    most: float
    rounds: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Figure":
        return cls(median(values), min(values), max(values), len(values))

    @property
    def spread(self) -> float:
        return (self.most - self.least) / self.value if self.value else 0.0


Rounds = Sequence[Mapping[str, Any]]
Figures = dict[str, Figure]


def figures_of(rounds: Rounds, ideal_ms: float) -> Figures:
    """One side's figures from what its rounds measured."""
    found: Figures = {}
    for name, values in {
        "w1_p50_ms": [median(each["w1_ms"]) for each in rounds if "w1_ms" in each],
        "w1_over_ms": [median(each["w1_ms"]) - ideal_ms for each in rounds if "w1_ms" in each],
        "w2_slow_p50_ms": [median(each["w2_slow_ms"]) for each in rounds if "w2_slow_ms" in each],
        "w2_slow_p99_ms": [percentile(each["w2_slow_ms"], 0.99) for each in rounds if "w2_slow_ms" in each],
        "w2_full_p99_ms": [percentile(each["w2_full_ms"], 0.99) for each in rounds if "w2_full_ms" in each],
        **{
            name: [each[name] for each in rounds if name in each]
            for name in ("w2_full_per_s", "w3_users_per_s", "cpu_ms_per_user", "rss_mb", "pss_mb", "messages")
        },
    }.items():
        if values:
            found[name] = Figure.of(values)
    return found


def noise(rounds: Rounds, cores: int) -> float:
    """The part of the machine that something else used while this side's burst ran, at worst."""
    shares = [
        (each["cpu_seconds"]["others"] + each["cpu_seconds"]["stolen"]) / (each["cpu_seconds"]["wall"] * cores)
        for each in rounds
        if "cpu_seconds" in each
    ]
    return max(shares, default=0.0)
