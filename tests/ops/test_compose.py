"""compose.yaml as Docker's own compose reads it; nothing is started, for some of its images come from registries."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from contracts.subscriptions import SUBSCRIPTIONS
from migrator import plan


@pytest.fixture(scope="module")
def services(compose: str, root: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Every service, with its variables filled in from secrets that were made as `make compose-env` makes them."""
    environment = tmp_path_factory.mktemp("compose") / ".env"
    subprocess.run([sys.executable, str(root / "deploy/compose/environment.py"), str(environment)], check=True)
    made = dict(line.split("=", 1) for line in environment.read_text().splitlines())
    text = (root / "deploy/compose.yaml").read_text()
    command = [compose, "-f", "-", f"--project-directory={root / 'deploy'}", f"--env-file={environment}", "config"]
    done = subprocess.run([*command, "--format=json"], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "variable is not set" not in done.stderr
    assert all(made.values())
    found: dict[str, Any] = json.loads(done.stdout)["services"]
    return found


def test_everything_is_there(services: dict[str, Any]) -> None:
    """The four services, what they stand on, what watches them, and a cloud to call."""
    beneath = {"postgres", "rabbitmq", "migrator", "seed", "broker-watch", "cloud-simulator"}
    assert set(services) == {*SUBSCRIPTIONS, *beneath, "prometheus", "alertmanager", "grafana"}


def test_each_service_comes_as_itself(services: dict[str, Any]) -> None:
    """With its own broker user and its own database role, read-only, without capabilities, and with time to drain."""
    for name in SUBSCRIPTIONS:
        service, role = services[name], plan.Service(name).role
        assert service["environment"]["DATABASE_URL"].startswith(f"postgresql://{role}:")
        assert service["environment"]["AMQP_URL"].startswith(f"amqp://{name}:")
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["stop_grace_period"] == "1m5s"
        assert service["build"]["args"] == {"SERVICE": name}
        assert service["depends_on"]["migrator"]["condition"] == "service_completed_successfully"


def test_what_runs_once_is_waited_for(services: dict[str, Any]) -> None:
    """`up --wait` fails at a container that has ended, unless another service starts on its success."""
    awaited = {
        name
        for service in services.values()
        for name, how in (service.get("depends_on") or {}).items()
        if how["condition"] == "service_completed_successfully"
    }
    assert awaited == {"migrator", "seed"}


def test_our_own_images_are_never_pulled(services: dict[str, Any]) -> None:
    """Nobody can slip in an image of that name by publishing one; and each of ours has as few rights as the others."""
    ours = {name: service for name, service in services.items() if service["image"].startswith("uca/")}
    assert set(ours) == {*SUBSCRIPTIONS, "migrator", "seed", "broker-watch", "cloud-simulator"}
    for service in ours.values():
        assert service["pull_policy"] == "never"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]


def test_what_stays_comes_back(services: dict[str, Any]) -> None:
    """After a crash or a restart of the machine all is up again, save what runs once and is over."""
    assert {name for name, service in services.items() if service.get("restart") != "unless-stopped"} == {
        "migrator",
        "seed",
    }


def test_what_is_said_fills_no_disk(services: dict[str, Any]) -> None:
    """Docker keeps all that a container has ever said, unless it is told otherwise."""
    assert {json.dumps(service["logging"]["options"]) for service in services.values()} == {
        '{"max-file": "3", "max-size": "20m"}'
    }


def test_what_keeps_data_has_time_to_end(services: dict[str, Any]) -> None:
    """Ten seconds, as Docker has it, may be too short for a last checkpoint; a kill then means a recovery."""
    assert {services[name]["stop_grace_period"] for name in ("postgres", "rabbitmq")} == {"1m0s"}


def test_the_database_is_ready_when_it_can_be_reached(services: dict[str, Any]) -> None:
    """Its image first runs a server on the socket alone, to make the database; what starts on that one is refused."""
    assert "-h 127.0.0.1" in " ".join(services["postgres"]["healthcheck"]["test"])


@pytest.mark.parametrize("name", ["migrator", "broker-watch"])
def test_the_migrator_gets_every_password_and_nothing_else(services: dict[str, Any], name: str) -> None:
    """It makes all roles and users; the sealing keys and the secret of tokens are none of its business."""
    wanted = set(plan.password_variables(plan.Service(name) for name in SUBSCRIPTIONS))
    assert wanted | {"DATABASE_URL", "RABBITMQ_API_URL", "RABBITMQ_VHOST"} == services[name]["environment"].keys()


def test_only_this_machine_is_listened_to(services: dict[str, Any]) -> None:
    """A port that is published is published on the loopback address alone."""
    published = [port for service in services.values() for port in service.get("ports", [])]
    assert {port["host_ip"] for port in published} == {"127.0.0.1"}


def test_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    """Each file that a container is given exists; Docker would make an empty folder of a missing one."""
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    assert [m["source"] for m in mounts if m["type"] == "bind" and not Path(m["source"]).exists()] == []


def test_secrets_are_kept(root: Path, tmp_path: Path) -> None:
    """Made once, readable by their owner only; a second run changes none."""
    command = [sys.executable, str(root / "deploy/compose/environment.py"), str(tmp_path / ".env")]
    subprocess.run(command, check=True)
    before = (tmp_path / ".env").read_text()
    subprocess.run(command, check=True)
    assert (tmp_path / ".env").read_text() == before
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_what_is_mounted_can_be_read(services: dict[str, Any], root: Path, tmp_path: Path) -> None:
    """Also in a clone that its owner alone can read; the secrets stay that owner's."""
    clone = tmp_path / "deploy"
    shutil.copytree(root / "deploy", clone, ignore=shutil.ignore_patterns("src", "tests", ".env"))
    for path in (clone, *clone.rglob("*")):
        path.chmod(0o700 if path.is_dir() else 0o600)
    subprocess.run([sys.executable, str(clone / "compose/environment.py")], check=True)
    mounts = [volume for service in services.values() for volume in service.get("volumes", [])]
    tops = [clone / Path(m["source"]).relative_to(root / "deploy") for m in mounts if m["type"] == "bind"]
    found = [path for top in tops for path in (top, *top.rglob("*"))]
    assert {path.name for path in found} >= {"rabbitmq.conf", "regions.json", "prometheus.yml", "services.json"}
    assert [path for path in found if path.stat().st_mode & 0o044 != 0o044] == []
    assert (clone / ".env").stat().st_mode & 0o077 == 0
