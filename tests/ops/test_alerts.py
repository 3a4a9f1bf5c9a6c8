"""Rules, routes and dashboards: they hold together, and name only what is there."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from contracts.subscriptions import SUBSCRIPTIONS
from prometheus_client.parser import text_string_to_metric_families

METRIC = re.compile(r"\b(?:uca|process|rabbitmq)_\w+")
LEVELS = "1", "10", "+Inf"
HISTOGRAM_PARTS = "_bucket", "_count", "_sum"

Installed = Callable[[str, str], str]


@pytest.fixture(scope="module")
def rules(root: Path) -> list[dict[str, Any]]:
    """Every alert."""
    groups = yaml.safe_load((root / "deploy/prometheus/rules.yml").read_text())["groups"]
    return [rule for group in groups for rule in group["rules"]]


@pytest.fixture(scope="module")
def exported(environment: dict[str, str]) -> set[str]:
    """The name of every series that some service of the running stack can export."""
    names = set()
    for url in environment["UCA_METRICS_URLS"].split(","):
        for family in text_string_to_metric_families(httpx.get(url).raise_for_status().text):
            total = {f"{family.name}_total"} if family.type == "counter" else {family.name}
            parts = {f"{family.name}{part}" for part in HISTOGRAM_PARTS} if family.type == "histogram" else set()
            names |= total | parts
    return names


def test_the_rules_pass_their_unit_tests(root: Path, installed: Installed) -> None:
    """promtool checks them, and runs the tests beside them."""
    promtool = installed("promtool", "prometheus")
    for words in (["check", "rules", "rules.yml"], ["test", "rules", "rules_test.yml"], ["check", "config"]):
        command = [promtool, *words, *(["prometheus.yml"] if words[-1] == "config" else [])]
        done = subprocess.run(command, cwd=root / "deploy/prometheus", capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_alertmanager_takes_its_routes(root: Path, installed: Installed) -> None:
    """amtool checks the file, and a critical alert goes to the pager."""
    amtool = installed("amtool", "prometheus-alertmanager")
    file = root / "deploy/alertmanager/alertmanager.yml"
    subprocess.run([amtool, "check-config", str(file)], check=True, capture_output=True)
    route = [amtool, "config", "routes", "test", f"--config.file={file}", "severity=critical", "alertname=ServiceDown"]
    assert subprocess.run(route, check=True, capture_output=True, text=True).stdout.strip() == "pager"


def test_one_region_s_outage_mutes_no_other_region(root: Path) -> None:
    """What it mutes is of the same provider and region."""
    inhibitions = yaml.safe_load((root / "deploy/alertmanager/alertmanager.yml").read_text())["inhibit_rules"]
    outages = [rule for rule in inhibitions if "alertname = ProviderDown" in rule["source_matchers"]]
    assert outages
    for rule in outages:
        assert rule.get("equal") == ["provider", "region"], rule


def test_every_rule_has_a_unit_test(root: Path, rules: list[dict[str, Any]]) -> None:
    """In rules_test.yml, by name."""
    tests = (root / "deploy/prometheus/rules_test.yml").read_text()
    assert [rule["alert"] for rule in rules if rule["alert"] not in tests] == []


def test_every_alert_links_a_runbook_that_names_it(root: Path, rules: list[dict[str, Any]]) -> None:
    """So whoever is woken finds what to do, and whoever changes the page sees for what it is read."""
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        page = root / rule["annotations"]["runbook_url"]
        assert rule["alert"] in page.read_text(), f"{page.name} doesn't name {rule['alert']}"


@pytest.fixture(scope="module")
def named(root: Path, rules: list[dict[str, Any]]) -> set[str]:
    """The name of every series that a dashboard, an alert or a scaler asks for."""
    panels = yaml.safe_load((root / "deploy/grafana/panels.yml").read_text())
    queries = [panel["query"] for rows in panels.values() for row in rows.values() for panel in row]
    queries += [rule["expr"] for rule in rules]
    queries += [scaled.read_text() for scaled in (root / "deploy/kubernetes/base").glob("*-*.yaml")]
    return {name for query in queries for name in METRIC.findall(query)}


def test_every_metric_of_ours_is_looked_at(named: set[str], exported: set[str]) -> None:
    """By a panel or an alert: what is counted and shown nowhere is found by nobody."""
    families = {re.sub("_(bucket|count|sum)$", "", name) for name in named | exported}
    looked_at = {re.sub("_(bucket|count|sum)$", "", name) for name in named}
    shown_nowhere = {name for name in families - looked_at if name.startswith("uca_") and not name.endswith("_created")}
    assert shown_nowhere - {"uca_failpoint_hits_total"} == set()  # which is for the fault matrix


def test_every_metric_that_is_named_is_exported(named: set[str], exported: set[str]) -> None:
    """A dashboard without data and an alert that never fires look like a healthy system. RabbitMQ's are its own."""
    labels = {"uca_owner", "uca_admin", "rabbitmq_management", "rabbitmq_prometheus"}
    missing = {name for name in named - exported - labels if not name.startswith("rabbitmq_alarms_")}
    assert missing == set()


def test_what_is_generated_is_up_to_date(root: Path) -> None:
    """Dashboards and rules are as `make dashboards` makes them."""
    command = [sys.executable, str(root / "deploy/grafana/generate.py"), "--check"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


def test_what_is_scaled_by_is_a_number(root: Path, tmp_path: Path, installed: Installed) -> None:
    """Where nothing happens a quantile is NaN, which KEDA may take for a huge negative number."""
    queries = []
    for file in (root / "deploy/kubernetes/base").glob("*.yaml"):
        for manifest in yaml.safe_load_all(file.read_text()):
            if manifest["kind"] == "ScaledObject":
                queries += [t["metadata"]["query"] for t in manifest["spec"]["triggers"] if t["type"] == "prometheus"]
    assert queries
    series = "uca_message_age_seconds_bucket"
    quiet = [
        {"series": f'{series}{{job="{job}",le="{le}"}}', "values": "5x40"} for job in SUBSCRIPTIONS for le in LEVELS
    ]
    asked = [{"expr": query, "eval_time": "5m", "exp_samples": []} for query in queries]
    tests = {"tests": [{"interval": "15s", "input_series": quiet, "promql_expr_test": asked}]}
    (tmp_path / "quiet.yml").write_text(yaml.safe_dump(tests))
    command = [installed("promtool", "prometheus"), "test", "rules", str(tmp_path / "quiet.yml")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
