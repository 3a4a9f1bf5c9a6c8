"""The images, built from the lock and run as they run in production: no root, nothing written, drained by SIGTERM.

They need a Docker engine, and the base image here or in a registry; else these tests are skipped. The containers share
this machine's network, so that they reach the broker and the database of these tests.
"""

import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from contracts.subscriptions import SUBSCRIPTIONS
from local.services import SIMULATOR, WATCH, Services
from local.stack import Stack

BASE = "python:3.11-slim-bookworm"
LEAST = "--read-only", "--cap-drop=ALL", "--security-opt=no-new-privileges", "--network=host", "--tmpfs=/tmp"


def docker(*words: str) -> str:
    """Docker's answer; its error fails the test."""
    environment = os.environ | {"DOCKER_BUILDKIT": "1" if _has_buildx() else "0"}
    done = subprocess.run(["docker", *words], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout.strip()


def _has_buildx() -> bool:
    return subprocess.run(["docker", "buildx", "version"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def images(root: Path) -> None:
    """Every image, as `make images VERSION=test` builds it."""
    if shutil.which("docker") is None:
        pytest.skip("there is no docker here")
    if subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("no Docker engine answers; start one")
    known = subprocess.run(["docker", "image", "inspect", BASE], capture_output=True, check=False)
    if known.returncode and subprocess.run(["docker", "pull", "-q", BASE], capture_output=True, check=False).returncode:
        pytest.skip(f"the base image {BASE} is not here, and no registry has it")
    for name in (*SUBSCRIPTIONS, "migrator", SIMULATOR):
        docker(
            *("build", "-q", "--network=host", f"--build-arg=SERVICE={name}"),
            *("-f", str(root / "deploy/Dockerfile"), "-t", f"uca/{name}:test", str(root)),
        )


@pytest.fixture(scope="module")
def services(images: None, root: Path) -> Iterator[Services]:
    """Where the services would be in a stack of which only broker and database run as processes."""
    stack = Stack(root / ".run" / "images", {})
    parts = stack.start_infrastructure()
    ours = stack.services(parts, 1)
    ours.write_regions()
    yield ours
    stack.down(wipe=True)


@contextmanager
def container(name: str, environment: Mapping[str, str], *words: str, mount: Path | None = None) -> Iterator[str]:
    """A container that runs as it would in production; it is gone afterwards."""
    variables = [f"--env={key}={value}" for key, value in environment.items()]
    mounts = [f"--volume={mount}:{mount}:ro"] if mount else []
    identifier = docker("run", "-d", *LEAST, *variables, *mounts, f"uca/{name}:test", *words)
    try:
        yield identifier
    finally:
        docker("rm", "-f", identifier)


def state(identifier: str) -> dict[str, Any]:
    """What Docker knows of a container's process."""
    found: dict[str, Any] = json.loads(docker("inspect", identifier))[0]["State"]
    return found


def await_ready(identifier: str, url: str) -> float:
    """Seconds until it is ready; fails with its log where that takes half a minute."""
    begin = time.monotonic()
    while time.monotonic() - begin < 30 and state(identifier)["Running"]:
        try:
            if httpx.get(f"{url}/readyz").is_success:
                return time.monotonic() - begin
        except httpx.TransportError:
            pass  # not listening yet; the loop is bounded
        time.sleep(0.1)
    pytest.fail(docker("logs", "--tail=20", identifier))


@pytest.mark.parametrize("name", [*SUBSCRIPTIONS, "migrator", SIMULATOR])
def test_an_image_holds_its_service_alone(images: None, name: str) -> None:
    """It isn't root, has no installer, no tests and no source but the installed one, and no other service's."""
    script = "id -u; ls /app/lib/python3*/site-packages /app/bin"
    uid, *files = docker("run", "--rm", "--entrypoint=sh", f"uca/{name}:test", "-c", script).splitlines()
    assert uid == "10001"
    assert not {"pip", "uv", "pytest", "tests"} & set(files)
    others = {service.replace("-", "_") for service in SUBSCRIPTIONS if name not in (service, "migrator")}
    assert not others & set(files)


def test_a_runbook_s_command_is_found_by_its_name(images: None) -> None:
    """`kubectl exec … -- user-syncer reseal` starts it without a shell and without a path."""
    command = ["docker", "run", "--rm", *LEAST, "--entrypoint=user-syncer", "uca/user-syncer:test", "reseal"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, "DATABASE_URL" in done.stderr) == (2, True), done.stderr


def test_a_missing_setting_is_named(images: None) -> None:
    """Exit code 2, and the last words say which."""
    command = ["docker", "run", "--rm", *LEAST, "uca/user-syncer:test"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "DATABASE_URL" in done.stderr


def test_a_project_becomes_active_on_the_images(services: Services, capsys: pytest.CaptureFixture[str]) -> None:
    """The migrator's ends well; the others become ready, provision a project, and end within seconds of a SIGTERM."""
    with container("migrator", services.migrator_environment()) as migrator:
        assert docker("wait", migrator) == "0", docker("logs", migrator)
    with ExitStack() as stack:
        running, seconds = {}, {}
        for program in services.programs({}, {}):
            name = program.name
            if name == WATCH:
                continue
            running[name] = stack.enter_context(container(name, program.environment, mount=services.directory))
        for name, url in services.metrics_urls.items():
            seconds[name] = await_ready(running[name], url)
        _provision(services, running["project-api"])
        for name, identifier in running.items():
            begin = time.monotonic()
            docker("stop", "--time=65", identifier)
            assert state(identifier)["ExitCode"] in (0, 143), name
            assert name == SIMULATOR or state(identifier)["ExitCode"] == 0, docker("logs", "--tail=20", identifier)
            seconds[f"{name} stops"] = time.monotonic() - begin
    with capsys.disabled():
        print({name: f"{value:.1f} s" for name, value in seconds.items()})  # noqa: T201 - figures for docs/operations.md


def _provision(services: Services, api: str) -> None:
    admin = json.loads(docker("exec", api, "/app/bin/service", "seed"))["admins"][0]
    token = docker("exec", api, "/app/bin/service", "token", "--user", str(admin))
    headers = {"Authorization": f"Bearer {token}", "Prefer": "wait=30"}
    body = {"name": "On images", "region": "region-1"}
    answer = httpx.post(f"{services.api_urls[0]}/admin/v1/projects", json=body, headers=headers, timeout=60)
    assert answer.status_code == 201, answer.text
    assert answer.json()["status"] == "active"


def test_the_health_check_tells_a_dead_listener(images: None) -> None:
    """Docker's own view of a container is that of its health listener."""
    script = (
        "import sys; sys.argv = ['x']; import runpy; runpy.run_path('/app/bin/healthcheck.py', run_name='__main__')"
    )
    words = [
        "docker",
        "run",
        "--rm",
        "--network=none",
        "--entrypoint=/app/bin/python",
        "uca/user-syncer:test",
        "-c",
        script,
    ]
    assert subprocess.run(words, capture_output=True, check=False).returncode == 1
