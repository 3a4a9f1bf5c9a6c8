"""Plots of a run's JSON; needs nothing of ours: `python plots.py FILE FOLDER`."""

import json
import sys
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt

PANELS = (
    ("w1_over_ms", "W1: one project of 50 users,\nms over the ideal (less is better)"),
    ("w2_slow_p50_ms", "W2: POST at 6/s,\nmedian ms (less is better)"),
    ("w2_full_per_s", "W2: POST, 16 connections,\nrequests/s (more is better)"),
    ("w3_users_per_s", "W3: 200 projects × 20 users,\nusers/s (more is better)"),
    ("cpu_ms_per_user", "CPU ms a user, broker and\ndatabase included (less is better)"),
    ("pss_mb", "Memory of all processes,\nPSS MB (less is better)"),
)
OURS, PEER = "#1f6f8b", "#b9c4cc"


def compare(content: dict[str, Any], folder: Path) -> None:
    """A panel a figure, a bar a side, the rounds' extremes as a line."""
    sides = content["figures"]
    figure, axes = plt.subplots(2, 3, figsize=(13, 7.5), layout="constrained")
    for axis, (key, title) in zip(axes.flat, PANELS, strict=True):
        names = [name for name in sides if key in sides[name]]
        values = [sides[name][key]["value"] for name in names]
        low = [sides[n][key]["value"] - sides[n][key]["least"] for n in names]
        high = [sides[n][key]["most"] - sides[n][key]["value"] for n in names]
        colours = [OURS if name == "UCA" else PEER for name in names]
        axis.barh(names, values, xerr=[low, high], color=colours, ecolor="#555", capsize=2)
        for number, (value, over) in enumerate(zip(values, high, strict=True)):
            words = f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
            axis.annotate(f"  {words}", (value + over, number), va="center", fontsize=8)
        axis.set_title(title, fontsize=10, loc="left")
        axis.invert_yaxis()
        axis.margins(x=0.18)
        axis.spines[["top", "right"]].set_visible(False)
    about = content["machine"]
    figure.suptitle(
        f"UCA and what one would build instead: one machine, one run ({about['cores']} cores, {about['date'][:10]},"
        f" commit {about['commit']})",
        fontsize=11,
    )
    figure.savefig(folder / "comparison.png", dpi=110)
    plt.close(figure)


def growth(found: dict[str, Any], folder: Path) -> None:
    """W5: over users, over projects in the tables, over replicas."""
    figure, axes = plt.subplots(1, 3, figsize=(13, 4), layout="constrained")
    _curve(axes[0], {"time over the ideal": found["overhead_ms"]}, "users in the project", "ms")
    axes[0].set_title("One project: time over the ideal", fontsize=10, loc="left")
    reads = {"status": found["status_p99_ms"], "list, first page": found["list_p99_ms"]}
    _curve(axes[1], reads, "projects in the tables", "p99, ms (4 readers)")
    axes[1].set_ylim(bottom=0)
    axes[1].set_title("Reads stay flat", fontsize=10, loc="left")
    rates = found["projects_per_s"]
    axes[2].bar(list(rates), list(rates.values()), color=OURS)
    axes[2].set_xlabel("replicas of each service")
    axes[2].set_ylabel("projects/s")
    axes[2].set_title("A backlog, 100 ms a cloud call", fontsize=10, loc="left")
    figure.savefig(folder / "growth.png", dpi=110)
    plt.close(figure)


def _curve(axis: Any, curves: dict[str, dict[str, float]], across: str, up: str) -> None:
    for (name, points), style in zip(curves.items(), ("o-", "s--"), strict=False):
        axis.plot([int(size) for size in points], list(points.values()), style, label=name, color=OURS)
    axis.set_xscale("log")
    axis.set_xlabel(across)
    axis.set_ylabel(up)
    axis.legend(frameon=False, fontsize=8)
    axis.grid(alpha=0.3)


def watchers(found: dict[str, Any], folder: Path) -> None:
    """W6: how late sockets were told, as a cumulative curve."""
    figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
    delays = found["delays_ms"]
    axis.plot(delays, [100 * (n + 1) / len(delays) for n in range(len(delays))], color=OURS)
    axis.axvline(250, color="#a33", linestyle="--", linewidth=1)
    axis.annotate("bar for 95 %", (250, 5), color="#a33", fontsize=8, ha="right")
    axis.set_xlabel("ms from a step's commit to its arrival at a socket")
    axis.set_ylabel("% of steps and sockets")
    axis.set_title(f"{found['sockets']} sockets on 20 projects", fontsize=10, loc="left")
    axis.grid(alpha=0.3)
    figure.savefig(folder / "watchers.png", dpi=110)
    plt.close(figure)


def soak(found: dict[str, Any], folder: Path) -> None:
    """What must stay flat, over the minutes of the load."""
    named = (("pss_mb", "memory, PSS MB"), ("handles", "open file handles"), ("connections", "database connections"))
    panels = (*named, ("dead", "dead rows to live ones"), ("outbox", "rows in outboxes"), ("chunks", "open chunks"))
    figure, axes = plt.subplots(2, 3, figsize=(13, 6), layout="constrained")
    minutes = [each["minute"] for each in found["samples"]]
    for axis, (key, title) in zip(axes.flat, panels, strict=True):
        values = [each[key] for each in found["samples"]]
        axis.plot(minutes, values, color=OURS)
        axis.set_ylim(0, 1.15 * max([*values, 0.1]))
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_xlabel("minutes of load")
        axis.grid(alpha=0.3)
    figure.savefig(folder / "soak.png", dpi=110)
    plt.close(figure)


def kills(found: dict[str, Any], folder: Path) -> None:
    """W4: how long after a kill everything was complete again."""
    figure, axis = plt.subplots(figsize=(6.5, 4), layout="constrained")
    victims = sorted({each["victim"] for each in found["each"]})
    values = [[each["recovered_s"] for each in found["each"] if each["victim"] == name] for name in victims]
    axis.boxplot(values, tick_labels=[f"{name}\n({len(each)})" for name, each in zip(victims, values, strict=True)])
    axis.set_ylabel("s from the restart until all 60 projects are active")
    axis.set_title("kill -9 while 60 projects run", fontsize=10, loc="left")
    axis.grid(alpha=0.3)
    figure.savefig(folder / "kills.png", dpi=110)
    plt.close(figure)


if __name__ == "__main__":
    content = json.loads(Path(sys.argv[1]).read_text())
    target = Path(sys.argv[2])
    if len(content["figures"]) > 1:
        compare(content, target)
    for draw in (growth, watchers, soak, kills):
        if part := content["further"].get(draw.__name__):
            draw(part, target)
