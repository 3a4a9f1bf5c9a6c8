"""The npm packages of the owner's frontend, installed from their lock into `.cache`, and Node to run them."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from local import debian

HERE = Path(__file__).parent
PATIENCE = 240.0
"""Seconds after which a script counts as stuck."""

Script = Callable[..., Awaitable[None]]
PACKAGES = ("package.json", "package-lock.json", ".npmrc")


def program(name: str, packages: Sequence[str]) -> str:
    """The program's path; where it is missing and may be installed, it is. Without it the tests fail."""
    if shutil.which(name) is None and debian.may_install():
        for package in packages:
            debian.install(package)
    found = shutil.which(name)
    assert found, f"{name} is missing: install {' '.join(packages)}, or run the tests as root on Debian"
    return found


@pytest.fixture(scope="session")
def node() -> str:
    """Node's path."""
    return program("node", ["nodejs"])


@pytest.fixture(scope="session")
def chromium() -> str:
    """Chromium's path."""
    return program("chromium", ["chromium"])


@pytest.fixture(scope="session")
def packages(pytestconfig: pytest.Config, node: str) -> Path:
    """The folder whose `node_modules` has the packages of the lock; installed once for each lock."""
    digest = hashlib.sha256(b"".join((HERE / name).read_bytes() for name in PACKAGES)).hexdigest()
    folder = pytestconfig.rootpath / ".cache" / "frontend" / digest[:16]
    if not (folder / "complete").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in PACKAGES:
            shutil.copy(HERE / name, folder / name)
        path = f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
        command = [program("npm", ["nodejs", "npm"]), "ci", "--ignore-scripts"]
        done = subprocess.run(
            command, cwd=folder, env=os.environ | {"PATH": path}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / "complete").touch()
    return folder


@pytest.fixture(scope="session")
def script(node: str, packages: Path) -> Script:
    """`await script(file, *words)` runs it with these words as JSON; what it says as it fails is the test's failure."""

    async def run(file: Path, *words: Any) -> None:
        for each in file.parent.glob("*.mjs"):
            shutil.copy(each, packages)  # Node looks for packages beside the script
        process = await asyncio.create_subprocess_exec(
            node, file.name, *map(json.dumps, words), cwd=packages, stderr=asyncio.subprocess.PIPE
        )
        try:
            _, said = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
        assert process.returncode == 0, said.decode()

    return run
