"""Writes what is generated for operations: `make dashboards`; with --check it only says what is out of date.

Dashboards come from panels.yml; Grafana's alert rules, and the rules in the form that Prometheus Operator takes, from
deploy/prometheus/rules.yml: no alert is written twice.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from grafana_foundation_sdk.builders import alerting, dashboard, expr, prometheus, stat, table, timeseries
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.alerting import RelativeTimeRange
from grafana_foundation_sdk.models.dashboard import DataSourceRef, GridPos, VariableRefresh
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

DEPLOY = Path(__file__).parents[1]
RULES = DEPLOY / "prometheus/rules.yml"
PANELS = DEPLOY / "grafana/panels.yml"
SOURCE = DataSourceRef("prometheus", "prometheus")
"""Type and uid of the data source, as provisioning/datasources.yml names it."""


class Panel(NamedTuple):
    """A panel as panels.yml has it."""

    title: str
    unit: str
    query: str
    legend: str | None = None


def main(arguments: Sequence[str]) -> int:
    """Exits 1 where a file differs and was only to be checked."""
    stale = [path for path, text in files() if not path.exists() or path.read_text() != text]
    if "--check" not in arguments:
        for path, text in files():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    elif stale:
        print("Out of date; run: make dashboards")  # noqa: T201 - a command-line answer
        return 1
    return 0


def files() -> Iterator[tuple[Path, str]]:
    """Every generated file with its text."""
    for name, rows in yaml.safe_load(PANELS.read_text()).items():
        board = _board(name, {row: [Panel(**panel) for panel in panels] for row, panels in rows.items()})
        yield DEPLOY / f"grafana/dashboards/{name}.json", _json(_overdue(board) if name == "provisioning" else board)
    yield DEPLOY / "grafana/provisioning/alerting/slow-provisioning.json", _json(_grafana_rules())
    yield DEPLOY / "kubernetes/base/alert-rules.yaml", _prometheus_rule()


def _json(built: Any) -> str:
    return json.dumps(built, cls=JSONEncoder, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def _board(name: str, rows: dict[str, list[Panel]]) -> Any:
    board = dashboard.Dashboard(f"UCA: {name}").uid(f"uca-{name}").tags(["uca"])
    board.time("now-3h", "now").refresh("30s").readonly()
    if any("$job" in panel.query for panels in rows.values() for panel in panels):
        query = "label_values(uca_messages_in_flight, job)"
        job = dashboard.QueryVariable("job").label("service").query(query).datasource(SOURCE)
        board.with_variable(job.refresh(VariableRefresh.ON_TIME_RANGE_CHANGED).multi(True).include_all(True))
    for row, panels in rows.items():
        board.with_row(dashboard.Row(row))
        for panel in panels:
            board.with_panel(_panel(panel))
    return board.build()


def _panel(panel: Panel) -> Any:
    if panel.legend is None:
        made: Any = stat.Panel().with_target(prometheus.Dataquery().expr(panel.query).instant()).span(4).height(4)
    else:
        query = prometheus.Dataquery().expr(panel.query).legend_format(panel.legend)
        made = timeseries.Panel().with_target(query).min(0).fill_opacity(10).span(8).height(7)
    return made.title(panel.title).unit(panel.unit).datasource(SOURCE)


def _overdue(board: Any) -> Any:
    """Adds the table of runs to look into, by name."""
    query = "max by (identifier, step, reason) (uca_provisioning_overdue or uca_provisioning_late)"
    target = prometheus.Dataquery().expr(query).instant().format(PromQueryFormat.TABLE)
    runs = table.Panel().title("Overdue, or just ended late").with_target(target).datasource(SOURCE).build()
    runs.grid_pos = GridPos(h=8, w=24, x=0, y=100)
    board.panels.append(runs)
    return board


def _grafana_rules() -> dict[str, Any]:
    """Grafana's own rules for slow provisioning, for those who alert from Grafana rather than by Alertmanager."""
    group = next(group for group in _rules()["groups"] if group["name"] == "provisioning")
    rules: list[Any] = [
        _grafana_rule(number, rule).build().to_json() for number, rule in enumerate(group["rules"], start=1)
    ]
    for rule in rules:  # the file's form differs from the API's in these
        for unwanted in ("folderUID", "orgID", "ruleGroup"):
            rule.pop(unwanted, None)
        rule["data"] = [query.to_json() for query in rule["data"]]
    head = {"orgId": 1, "name": "slow provisioning", "folder": "UCA", "interval": "30s"}
    return {"apiVersion": 1, "groups": [head | {"rules": rules}]}


def _grafana_rule(number: int, rule: dict[str, Any]) -> alerting.Rule:
    """The expression gives a series only while it is true, whatever its value: condition B turns each into a 1."""
    window = RelativeTimeRange(300, 0)
    value = alerting.Query("A").datasource_uid("prometheus").relative_time_range(window)
    holds = alerting.Query("B").datasource_uid("__expr__").relative_time_range(window)
    math = expr.TypeMath().expression("$A * 0 + 1").ref_id("B")
    words = {name: text.replace("$value", "$values.A.Value") for name, text in rule["annotations"].items()}
    made = alerting.Rule(rule["alert"]).uid(f"uca-provisioning-{number}").condition("B").for_val(rule.get("for", "0s"))
    made.with_query(value.model(prometheus.Dataquery().expr(rule["expr"]).instant().ref_id("A")))
    made.with_query(holds.model(math))
    return made.labels(rule["labels"]).annotations(words).no_data_state("OK").exec_err_state("Error")


def _prometheus_rule() -> str:
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {"name": "uca"},
        "spec": {"groups": _rules()["groups"]},
    }
    head = "# Made from deploy/prometheus/rules.yml by: make dashboards\n"
    return head + yaml.safe_dump(resource, sort_keys=False, width=120)


def _rules() -> Any:
    return yaml.safe_load(RULES.read_text())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
