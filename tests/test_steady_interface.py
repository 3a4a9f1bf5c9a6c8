"""What scripts outside this repository rely on, word for word: targets, `.run/env`, pid files, the seed."""

import os
import signal
import subprocess
from pathlib import Path

import asyncpg
import httpx
import pytest
from contracts.subscriptions import SUBSCRIPTIONS
from local import seed
from local.stack import Stack

SERVICES = "project-api", "link-provisioner", "user-syncer", "status-projector"
TARGETS = "demo", "up", "down", "status", "logs", "test", "check", "e2e", "faults", "bench", "service"
SINGLE = (
    "UCA_API_URL",
    "UCA_ADMIN_TOKEN",
    "UCA_TENANT_TOKEN",
    "UCA_SIMULATOR_URL",
    "UCA_AMQP_URL",
    "UCA_DATABASE_URL",
    "UCA_CONSOLE_URL",
    "UCA_PUSH_KEY",
)


def get(environment: dict[str, str], path: str) -> httpx.Response:
    token = {"Authorization": f"Bearer {environment['UCA_ADMIN_TOKEN']}"}
    return httpx.get(f"{environment['UCA_API_URL']}{path}", headers=token, timeout=10)


def test_make_alone_lists_the_targets(pytestconfig: pytest.Config) -> None:
    """A person who types `make` sees every target with what it does."""
    listed = subprocess.run(["make"], cwd=pytestconfig.rootpath, capture_output=True, text=True, check=True).stdout
    assert {line.split()[0] for line in listed.splitlines()} >= set(TARGETS)


def test_the_environment_file_is_for_a_shell(stack: Stack) -> None:
    """A shell reads `.run/env` and gets every value; lists are comma-separated, one entry for each replica."""
    script = 'set -a; . "$1"; env -0'
    command = ["sh", "-c", script, "sh", str(stack.directory / "env")]
    read = dict(
        entry.split("=", 1)
        for entry in subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\0")
        if entry
    )
    written = seed.read_environment(stack.directory)  # of now: each `up` of another test renewed the tokens
    assert {name: read[name] for name in SINGLE} == {name: written[name] for name in SINGLE}
    assert len(read["UCA_API_URLS"].split(",")) == 2
    assert len(read["UCA_METRICS_URLS"].split(",")) == 2 * len(SUBSCRIPTIONS)
    assert httpx.URL(read["UCA_API_URL"]).raw_path == b"/"


@pytest.mark.parametrize("replica", ["", ".2"])
@pytest.mark.parametrize("service", SERVICES)
def test_a_pid_file_names_the_working_process(stack: Stack, service: str, replica: str) -> None:
    """One line, and the process of that id has the service's name in its command line."""
    text = (stack.directory / f"{service}{replica}.pid").read_text()
    words = Path(f"/proc/{int(text)}/cmdline").read_bytes().decode().split("\0")
    assert text == f"{int(text)}\n"
    assert any(word.endswith(service) for word in words)


def test_the_api_goes_before_the_workers_and_these_before_the_projector(stack: Stack) -> None:
    """Where they want the processor: somebody waits for the API's answers, and what is told of comes before telling."""
    nice = {
        name: os.getpriority(os.PRIO_PROCESS, int((stack.directory / f"{name}.pid").read_text())) for name in SERVICES
    }
    api = nice["project-api"]
    assert nice == {
        "project-api": api, "link-provisioner": api + 10, "user-syncer": api + 10, "status-projector": api + 15
    }  # fmt: skip


def test_every_process_serves_metrics(environment: dict[str, str]) -> None:
    """Each address of UCA_METRICS_URLS answers with metrics."""
    for url in environment["UCA_METRICS_URLS"].split(","):
        assert "# HELP" in httpx.get(url, timeout=10).text


def test_what_was_killed_is_up_again(stack: Stack) -> None:
    """After SIGKILL, `make up` returns once the service works again, in another process."""
    pid_file = stack.directory / "status-projector.pid"
    killed = int(pid_file.read_text())
    os.kill(killed, signal.SIGKILL)
    stack.up(replicas=2)
    assert int(pid_file.read_text()) != killed


def test_tokens_are_renewed_and_good(stack: Stack, environment: dict[str, str]) -> None:
    """Every `make up` gives the same admin a fresh token, which the API takes; the other one is the tenant's."""
    renewed = stack.up(replicas=2)
    users = []
    for name in ("UCA_ADMIN_TOKEN", "UCA_TENANT_TOKEN"):
        token = {"Authorization": f"Bearer {renewed[name]}"}
        url = f"{renewed['UCA_API_URL']}/api/v1/business/auth/user"
        users.append(httpx.get(url, headers=token, timeout=10).json()["data"])
    assert [user["role"] for user in users] == ["admin", "tenant_admin"]
    admins = get(environment, "/admin/v1/users?role=admin").json()["data"]
    assert users[0]["id"] == min(admin["id"] for admin in admins)


def test_the_seed_has_two_active_regions_first(environment: dict[str, str]) -> None:
    """Whatever regions are added, the simulator's two come before them."""
    regions = get(environment, "/admin/v1/regions").json()["data"]
    assert [region["code"] for region in regions[:2]] == ["region-1", "region-2"]
    assert all(region["is_active"] for region in regions[:2])


async def test_the_owners_url_reads_every_row(environment: dict[str, str]) -> None:
    """UCA_DATABASE_URL is good for a backup: row-level security hides no tenant from the owner."""
    owner = await asyncpg.connect(environment["UCA_DATABASE_URL"])
    try:
        assert await owner.fetchval("SELECT count(*) FROM project_api.tenants") >= 1
    finally:
        await owner.close()
