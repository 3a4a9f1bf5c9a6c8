import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest
from local import scaffold
from local.endpoints import MissingSettingError

ROOT = Path(__file__).parents[3]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A copy of the files that list services."""
    for path in (*scaffold.LISTS, *scaffold.BLOCKS, scaffold.MANIFEST, scaffold.SUBSCRIPTIONS):
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / path, tmp_path / path)
    return tmp_path


def test_a_new_service_is_listed_wherever_services_are(root: Path) -> None:
    """Dependencies, workspace, type checker, import rules, subscriptions and publications all know it."""
    scaffold.create(root, "trial-ledger")
    project = tomllib.loads((root / "pyproject.toml").read_text())
    assert "uca-trial-ledger" in project["project"]["dependencies"]
    assert project["tool"]["uv"]["sources"]["uca-trial-ledger"] == {"workspace": True}
    assert "services/trial-ledger/src" in project["tool"]["mypy"]["mypy_path"]
    assert "trial_ledger" in project["tool"]["importlinter"]["root_packages"]
    layers = project["tool"]["importlinter"]["contracts"][0]["layers"]
    assert any("status_projector | trial_ledger" in layer for layer in layers)
    migrator = tomllib.loads((root / "deploy/migrator/pyproject.toml").read_text())
    assert "uca-trial-ledger" in migrator["project"]["dependencies"]
    tables: dict[str, dict[str, tuple[str, ...]]] = {}
    exec((root / scaffold.SUBSCRIPTIONS).read_text(), tables)
    assert tables["SUBSCRIPTIONS"]["trial-ledger"] == ("project.created",)
    assert tables["PUBLICATIONS"]["trial-ledger"] == ()


def test_a_new_service_is_deployed_wherever_services_are(root: Path) -> None:
    """compose, Prometheus with its rules, and Kubernetes with each overlay know it by its own user, role and queue."""
    scaffold.create(root, "trial-ledger")
    for path in scaffold.BLOCKS:
        assert "trial-ledger" in (root / path).read_text(), path
    assert 'absent(up{job="trial-ledger"})' in (root / "deploy/prometheus/rules.yml").read_text()
    compose = (root / "deploy/compose.yaml").read_text()
    assert "postgresql://uca_trial_ledger:${TRIAL_LEDGER_DATABASE_PASSWORD}@postgres/uca" in compose
    assert "amqp://trial-ledger:${TRIAL_LEDGER_AMQP_PASSWORD}@rabbitmq/uca" in compose
    assert (
        compose.count("      TRIAL_LEDGER_DATABASE_PASSWORD: ${TRIAL_LEDGER_DATABASE_PASSWORD}\n") == 1
    )  # the migrator's
    assert "queueName: trial-ledger.work" in (root / scaffold.MANIFEST).with_name("trial-ledger.yaml").read_text()


def test_a_new_services_modules_are_python(root: Path) -> None:
    """Every file that is written compiles, and no placeholder is left in it."""
    for path in scaffold.create(root, "trial-ledger"):
        if path.suffix == ".py":
            compile(path.read_text(), str(path), "exec")
        if "services" in path.relative_to(root).parts:
            assert "$" not in path.read_text()


@pytest.mark.parametrize("name", ["", "Audit", "trial_ledger", "../audit"])
def test_a_name_that_is_no_good_is_refused(root: Path, name: str) -> None:
    """The error says what a good name looks like."""
    with pytest.raises(MissingSettingError, match="NAME=audit-log"):
        scaffold.create(root, name)


@pytest.mark.parametrize("name", ["contracts", "migrator", "json", "class", "httpx", "broker-watch"])
def test_a_name_that_is_taken_is_refused(root: Path, name: str) -> None:
    """What bears it is here already: a package of ours or of others, a word of Python, a container."""
    with pytest.raises(MissingSettingError, match=f"{name} is a name of"):
        scaffold.create(root, name)
    assert not (root / "services").exists()


def test_a_service_is_not_overwritten(root: Path) -> None:
    """A name that is taken is refused."""
    scaffold.create(root, "trial-ledger")
    with pytest.raises(MissingSettingError, match="already"):
        scaffold.create(root, "trial-ledger")


def test_a_name_is_no_command(tmp_path: Path) -> None:
    """What a shell would take for one is a part of the name, and refused with it."""
    made = tmp_path / "made"
    done = subprocess.run(
        ["make", "service", f"NAME=Audit; touch {made}"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert "NAME=audit-log" in done.stderr
    assert not made.exists()


def test_what_is_generated_is_made_again() -> None:
    """Everything that `make check` compares: a new service is in the rules, the picture and the events' description."""

    def recipe(*words: str) -> list[str]:
        done = subprocess.run(["make", "-n", *words], cwd=ROOT, capture_output=True, text=True, check=True)
        return done.stdout.splitlines()

    compared = [line for line in recipe("check") if line.endswith(" --check")]
    assert len(compared) == 3
    assert {line.removesuffix(" --check") for line in compared} <= set(recipe("service", "NAME=audit-log"))
