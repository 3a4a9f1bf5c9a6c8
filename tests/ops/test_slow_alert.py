"""A run is held up at the cloud; the real Prometheus and Alertmanager tell of it, and tell when it is over."""

import json
import queue
import subprocess
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from local import ports
from local.stack import Stack

HOLD_SECONDS = 7
SHORTENED = {"SLOW_SECONDS": "2", "SLOW_TOLD_SECONDS": "4", "HOUSEKEEPING_SECONDS": "0.5"}
SEVERITIES = {"SlowProvisioningRunning": "critical", "SlowProvisioningEnded": "warning"}
REPLICAS = 2


@dataclass
class Alerting:
    """Alertmanager's notifications, as its webhook got them."""

    url: str
    told: "queue.Queue[dict[str, Any]]" = field(default_factory=queue.Queue)

    def wait(self, project: str, wanted: Collection[tuple[str, str]]) -> dict[tuple[str, str], Mapping[str, str]]:
        """The labels and runbook of a project's alerts, by name and status, once all these were told of.

        As each was told of first: on a slow machine the next step may be overdue as well, which is another alert.
        """
        deadline = time.monotonic() + 40
        seen: dict[tuple[str, str], Mapping[str, str]] = {}
        while not seen.keys() >= set(wanted):
            alert = self.told.get(timeout=max(0.1, deadline - time.monotonic()))
            if alert["labels"].get("project") == project:
                what = alert["labels"]["alertname"], alert["status"]
                seen.setdefault(what, alert["labels"] | {"runbook_url": alert["annotations"]["runbook_url"]})
        return seen


@pytest.fixture(scope="module")
def shortened(stack: Stack) -> Iterator[dict[str, str]]:
    """The stack with a threshold that a test can wait for."""
    yield stack.up(REPLICAS, {"status-projector": SHORTENED})
    stack.up(REPLICAS)


@pytest.fixture
def alerting(
    stack: Stack, shortened: dict[str, str], root: Path, tmp_path: Path, installed: Callable[[str, str], str]
) -> Iterator[Alerting]:
    """Prometheus with our rules scrapes the stack each second; Alertmanager with our routes tells a webhook."""
    programs = installed("prometheus", "prometheus"), installed("prometheus-alertmanager", "prometheus-alertmanager")
    port = ports.allocate(tmp_path / "ports.json", ["webhook", "prometheus", "alertmanager"], in_use=False)
    addresses = {name: f"127.0.0.1:{number}" for name, number in port.items()}
    alerting = Alerting(f"http://{addresses['webhook']}")
    configure(stack, root, tmp_path, addresses)
    prometheus = [
        programs[0],
        f"--config.file={tmp_path / 'prometheus.yml'}",
        f"--storage.tsdb.path={tmp_path / 'prometheus'}",
        f"--web.listen-address={addresses['prometheus']}",
        "--rules.alert.resend-delay=1s",
    ]
    alertmanager = [
        programs[1],
        f"--config.file={tmp_path / 'alertmanager.yml'}",
        f"--storage.path={tmp_path / 'alertmanager'}",
        f"--web.listen-address={addresses['alertmanager']}",
        "--cluster.listen-address=",
    ]
    with webhook(port["webhook"], alerting.told), running(alertmanager, tmp_path), running(prometheus, tmp_path):
        for name in ("alertmanager", "prometheus"):
            await_ready(f"http://{addresses[name]}/-/ready", tmp_path)
        yield alerting


def configure(stack: Stack, root: Path, folder: Path, addresses: Mapping[str, str]) -> None:
    """Writes the two configurations: our rules and routes as they are, with a test's addresses and patience."""
    instances = stack.services(stack.infrastructure(), REPLICAS).metrics_urls
    jobs: dict[str, list[str]] = {}
    for instance, url in instances.items():
        jobs.setdefault(instance.partition(".")[0], []).append(url.removeprefix("http://"))
    prometheus = {
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(root / "deploy/prometheus/rules.yml")],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [addresses["alertmanager"]]}]}]},
        "scrape_configs": [
            {"job_name": name, "static_configs": [{"targets": targets}]} for name, targets in jobs.items()
        ],
    }
    alertmanager = yaml.safe_load((root / "deploy/alertmanager/alertmanager.yml").read_text())
    for route in (alertmanager["route"], *alertmanager["route"]["routes"]):
        route |= {"group_wait": "0s", "group_interval": "1s"}
    for receiver in alertmanager["receivers"]:
        receiver["webhook_configs"] = [{"url": f"http://{addresses['webhook']}", "send_resolved": True}]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(prometheus))
    (folder / "alertmanager.yml").write_text(yaml.safe_dump(alertmanager))


@contextmanager
def webhook(port: int, told: "queue.Queue[dict[str, Any]]") -> Iterator[None]:
    """Takes Alertmanager's notifications."""

    class Hook(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            for alert in json.loads(self.rfile.read(int(self.headers["content-length"])))["alerts"]:
                told.put(alert)
            self.send_response(200)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
            """Nothing: the test says what it got."""

    server = ThreadingHTTPServer(("127.0.0.1", port), Hook)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield
    server.shutdown()
    server.server_close()


@contextmanager
def running(command: list[str], folder: Path) -> Iterator[None]:
    """A program with its log beside its configuration."""
    with (folder / f"{Path(command[0]).name}.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        try:
            yield
        finally:
            process.terminate()
            process.wait(15)


def await_ready(url: str, folder: Path) -> None:
    """Fails with the logs where a program doesn't get ready within 20 s."""
    with httpx.Client(transport=httpx.HTTPTransport(retries=5)) as client:
        for _ in range(100):
            try:
                if client.get(url).is_success:
                    return
            except httpx.TransportError:
                pass  # not listening yet; the loop is bounded
            time.sleep(0.2)
    pytest.fail("\n".join(log.read_text()[-2000:] for log in folder.glob("*.log")))


def test_a_slow_run_is_told_of_while_it_is_stuck_and_when_it_ended_late(
    shortened: dict[str, str], alerting: Alerting
) -> None:
    """Both alerts name project, step and reason and link their runbook; the first resolves with the run's end, the
    second after its time."""
    admin = {"Authorization": f"Bearer {shortened['UCA_ADMIN_TOKEN']}"}
    behaviour = f"{shortened['UCA_SIMULATOR_URL']}/_sim/behaviour"
    before = httpx.get(behaviour).json()["latency_ms"]
    httpx.put(behaviour, json={"latency_ms": {"project": HOLD_SECONDS * 1000}}).raise_for_status()
    try:
        body = {"name": f"Slow {time.time_ns()}", "region": "region-1"}
        answer = httpx.post(f"{shortened['UCA_API_URL']}/admin/v1/projects", json=body, headers=admin)
        project = answer.raise_for_status().json()["identifier"]
        seen = alerting.wait(project, [(name, status) for name in SEVERITIES for status in ("firing", "resolved")])
    finally:
        httpx.put(behaviour, json={"latency_ms": before}).raise_for_status()
    expected = {"step": "link", "reason": "working", "runbook_url": "docs/runbooks/stuck-run.md"}
    for name, severity in SEVERITIES.items():
        assert expected.items() <= seen[name, "firing"].items()
        assert seen[name, "firing"]["severity"] == severity
