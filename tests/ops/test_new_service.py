"""The walk-through of docs/add-a-service.md, carried out by its own text in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from local import scaffold
from local.endpoints import Endpoints

FILE = re.compile(r"^`(?P<path>services/[^`]+)`[^\n]*:\n\n```python\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL)
STARTED = """
import sys
from local.stack import Stack, run_directory
stack = Stack(run_directory())
names = [program.name for program in stack.services(stack.infrastructure(), 1).programs({}, {})]
assert sys.argv[1] in names, names
"""
"""What `make up` would start."""
NAME, PACKAGE = "account-log", "account_log"
"""Not the page's own, which is there already where somebody has followed it."""
SUBSCRIPTION = re.compile(rf'^```python\n(    "{NAME}": .*?\n)```', re.MULTILINE)


@pytest.fixture
def copy(root: Path, tmp_path: Path) -> Path:
    """What git has of the repository, and what it would take."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=root,
        check=True,
        capture_output=True,
        text=True,
    )
    for name in listed.stdout.splitlines():
        if (root / name).is_file():
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(root / name, tmp_path / name)
    return tmp_path


def test_the_walk_through_leads_to_a_service_that_passes_its_tests(copy: Path, endpoints: Endpoints) -> None:
    """Scaffolded, given what the page says, its tests pass, and every list of services knows it."""
    page = (copy / "docs/add-a-service.md").read_text().replace("audit-log", NAME).replace("audit_log", PACKAGE)
    scaffold.create(copy, NAME)
    package = copy / "services" / NAME / "src" / PACKAGE
    for replaced in (package / "sightings.py", package / "migrations/versions/0001_sightings.py"):
        replaced.unlink()
    for found in FILE.finditer(page):
        (copy / found["path"]).write_text(found["text"])
    subscriptions = copy / scaffold.SUBSCRIPTIONS
    (line,) = SUBSCRIPTION.findall(page)
    scaffolded = f'    "{NAME}": (events.ProjectCreated.routing_key,),\n'
    assert scaffolded in subscriptions.read_text()
    subscriptions.write_text(subscriptions.read_text().replace(scaffolded, line))
    run([sys.executable, "-m", "pytest", f"services/{NAME}", "-p", "no:cacheprovider"], copy, endpoints)
    run([sys.executable, "-m", "ruff", "check", "-q", f"services/{NAME}"], copy, endpoints)
    run([sys.executable, "deploy/grafana/generate.py"], copy, endpoints)
    run([sys.executable, "docs/picture.py"], copy, endpoints)
    run([sys.executable, "-m", "local.asyncapi"], copy, endpoints)
    assert NAME in (copy / "docs/architecture.md").read_text()
    assert NAME in (copy / "docs/asyncapi.yaml").read_text()
    run([sys.executable, "-c", STARTED, NAME], copy, endpoints)


def run(command: list[str], copy: Path, endpoints: Endpoints) -> None:
    """Runs it in the copy, on the database and broker of these tests; fails with what it said."""
    sources = [str(path) for path in sorted(copy.glob("*/*/src"))]
    servers = {
        "UCA_DATABASE_URL": endpoints.database_url,
        "UCA_AMQP_URL": endpoints.amqp_url,
        "UCA_RABBITMQ_API_URL": endpoints.rabbitmq_api_url,
    }
    environment = os.environ | servers | {"PYTHONPATH": os.pathsep.join(sources)}
    done = subprocess.run(command, cwd=copy, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
