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
        for number, value in enumerate(values):
            axis.annotate(f" {value:.3g}", (value, number), va="center", fontsize=8)
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


if __name__ == "__main__":
    content = json.loads(Path(sys.argv[1]).read_text())
    if len(content["figures"]) > 1:
        compare(content, Path(sys.argv[2]))
