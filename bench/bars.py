"""The bars: what each figure must reach, by ratio to a peer of the same run where one is named. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from bench.figures import Figures, figures_of

US = "UCA"
FIRST, SECOND = "taskiq", "Celery prefork"


@dataclass(frozen=True)
class Verdict:
    """One line of the result; `met` is None where this run has not measured it."""

    name: str
    bar: str
    figure: str
    met: bool | None

    def __str__(self) -> str:
        words = {True: "met", False: "not met", None: "not measured"}[self.met]
        return f"{self.name:<34} {self.figure:<44} bar: {self.bar:<44} {words}"


def judge(sides: Mapping[str, Figures], further: Mapping[str, Any]) -> list[Verdict]:
    """Every bar. `further` has what only our side is measured in: kills, growth, watchers, soak."""
    us, first, second = (sides.get(name, {}) for name in (US, FIRST, SECOND))
    return [
        *_answers(us, first),
        _ratio("W3 users/s, to taskiq", us, first, "w3_users_per_s", at_least=3),
        _ratio("W3 users/s, to Celery prefork", us, second, "w3_users_per_s", at_least=8),
        _ratio("CPU a user, servers included", us, first, "cpu_ms_per_user", at_most=1 / 3, unit="ms"),
        _below("memory, four services (PSS)", us, "pss_mb", 320, "MB"),
        _below("broker messages for 20 users", us, "messages", 6, ""),
        *_kills(further.get("kills")),
        *_growth(further.get("growth")),
        *_watchers(further.get("watchers")),
        _soak(further.get("soak")),
    ]


def beside(further: Mapping[str, Any]) -> list[str]:
    """What is told beside the bars: the zCompute way against its own ideal, and repeats in other set-ups."""
    lines = []
    if found := further.get("zcompute"):
        figures = figures_of(found["rounds"], found["ideal_ms"])
        w1 = [_told(figures, key, "ms") for key in ("w1_p50_ms", "w1_over_ms")]
        w3 = [_told(figures, "w3_users_per_s", "users/s"), _told(figures, "cpu_ms_per_user", "ms of CPU a user", 2)]
        lines.append(
            f"UCA, zCompute way ({found['calls_per_user']} calls a user, {found['in_flight']} in flight):"
            f" W1 p50 {w1[0]}, ideal {found['ideal_ms']:.0f} ms, over ideal {w1[1]};"
            f" W3 {w3[0]}, {w3[1]}, ideal n/a"
        )
    if (kills := further.get("kills")) and (beside := kills.get("beside")):
        ways = [
            f"{each['repeats_per_kill']} with {each['in_flight']} in {_processes(each['replicas'])}"
            f" ({len(each['each'])} kills)"
            for each in beside
        ]
        lines.append(
            f"W4 calls repeated a user-syncer kill where as many are in flight as the peers make: {', '.join(ways)};"
            f" the bar's are the product's own {kills['in_flight']}"
        )
    return lines


def _processes(number: int) -> str:
    return "one process" if number == 1 else f"{number} processes"


def _told(figures: Figures, key: str, unit: str, digits: int = 0) -> str:
    figure = figures.get(key)
    if figure is None:
        return "-"
    spread = f" [{figure.least:.{digits}f}–{figure.most:.{digits}f}]" if figure.rounds > 1 else ""
    return f"{figure.value:.{digits}f} {unit}{spread}"


def _answers(us: Figures, first: Figures) -> list[Verdict]:
    verdicts = [
        _below("W1 over ideal, p50", us, "w1_over_ms", 25, "ms"),
        _ratio("W1 over ideal, to taskiq", us, first, "w1_over_ms", at_most=0.5, unit="ms"),
        _ratio("W2 6/s p50, to taskiq", us, first, "w2_slow_p50_ms", at_most=1, unit="ms"),
    ]
    name = "W2 6/s p99"
    if "w2_slow_p99_ms" in us and "w2_slow_p99_ms" in first:
        ours, limit = us["w2_slow_p99_ms"].value, max(10.0, 2 * first["w2_slow_p99_ms"].value)
        verdicts.append(
            Verdict(name, f"at most {limit:.1f} ms (10, or twice taskiq's)", f"{ours:.1f} ms", ours <= limit)
        )
    else:
        verdicts.append(_unknown(name, "at most 10 ms, or twice taskiq's"))
    return [
        *verdicts,
        _ratio("W2 full req/s, to taskiq", us, first, "w2_full_per_s", at_least=1),
        _ratio("W2 full p99, to taskiq", us, first, "w2_full_p99_ms", at_most=1.1, unit="ms"),
    ]


def _kills(found: Any) -> list[Verdict]:
    lines = [
        ("W4 stuck", "0 after {worker_kills} worker and {api_kills} API kills", "stuck", 0),
        ("W4 stored but never run", "0", "never_run", 0),
        ("W4 active too early", "0", "early", 0),
        ("W4 calls repeated a worker kill", "at most 25 ({in_flight} in flight)", "repeats_per_kill", 25),
        ("W4 double effects on the cloud", "0", "double_effects", 0),
    ]
    return [
        Verdict(name, bar.format(**found), f"{found[key]:g}", found[key] <= most) if found else _unknown(name, bar)
        for name, bar, key, most in lines
    ]


def _growth(found: Any) -> list[Verdict]:
    lines = [
        ("W5 W1 overhead per user", "grows no faster than the users", "overhead_growth", "overhead_ms", 1.0, 1),
        ("W5 status p99, most to fewest", "at most 1.2", "status_ratio", "status_p99_ms", 1.2, 1),
        ("W5 list p99, most to fewest", "at most 1.2", "list_ratio", "list_p99_ms", 1.2, 1),
        (
            "W5 backlog, most replicas to one",
            "at least 1.6 where the cores allow",
            "drain_ratio",
            "projects_per_s",
            1.6,
            -1,
        ),
    ]
    if not found:
        return [_unknown(each[0], each[1]) for each in lines] + [_unknown(_LOST, "0")]
    return [
        Verdict(name, bar, f"{found[key]:.2f} x, up to {max(found[curve]):,}", sign * found[key] <= sign * limit)
        for name, bar, key, curve, limit, sign in lines
    ] + [Verdict(_LOST, "0", f"{found['lost']} of {found['backlog']:,} each time", found["lost"] == 0)]


_LOST = "W5 backlog, lost"


def _watchers(found: Any) -> list[Verdict]:
    lines = [
        ("W6 steps that a socket missed", "0", "missed", 0),
        ("W6 step after its commit, p95", "at most 250 ms", "p95_ms", 250),
        ("W6 CPU of an unchanged poll", "under 0.5 ms", "poll_cpu_ms", 0.5),
    ]
    return [
        Verdict(name, bar, f"{found[key]:.2f}", found[key] <= most) if found else _unknown(name, bar)
        for name, bar, key, most in lines
    ]


def _soak(found: Any) -> Verdict:
    name, bar = "memory flat under load for 30 min", "last third at most 5 % over the middle one"
    if not found:
        return _unknown(name, bar)
    met = found["growth"] <= 0.05 if found["minutes"] >= 30 else None
    return Verdict(name, bar, f"{found['growth']:+.1%} in {found['minutes']:g} min", met)


def _below(name: str, us: Figures, key: str, most: float, unit: str) -> Verdict:
    bar = f"at most {most:g} {unit}".strip()
    if key not in us:
        return _unknown(name, bar)
    return Verdict(name, bar, f"{us[key].value:.1f} {unit}".strip(), us[key].value <= most)


def _ratio(
    name: str,
    us: Figures,
    peer: Figures,
    key: str,
    *,
    at_most: float | None = None,
    at_least: float | None = None,
    unit: str = "",
) -> Verdict:
    bar = f"at most {at_most:.2f} x" if at_most is not None else f"at least {at_least:.2f} x"
    if key not in us or key not in peer or not peer[key].value:
        return _unknown(name, bar)
    ratio = us[key].value / peer[key].value
    met = ratio <= at_most if at_most is not None else ratio >= (at_least or 0)
    digits = 2 if us[key].value < 10 else 0
    words = f"{us[key].value:.{digits}f} {unit}".strip() + f" to {peer[key].value:.{digits}f}: {ratio:.2f} x"
    return Verdict(name, bar, words, met)


def _unknown(name: str, bar: str) -> Verdict:
    return Verdict(name, bar.format(worker_kills="n", api_kills="n", in_flight="n"), "-", None)
