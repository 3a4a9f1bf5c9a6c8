"""What the tests of operations stand on: programs of Debian's, and the repository's own files."""

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from local import debian

ROOT = Path(__file__).parents[2]
DOCKER_PLUGINS = "usr/libexec/docker/cli-plugins"


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository."""
    return ROOT


@pytest.fixture(scope="session")
def installed() -> Callable[[str, str], str]:
    """Finds a program, and installs its Debian package where it is missing; no system service is started."""

    def find(program: str, package: str) -> str:
        if shutil.which(program) is None and debian.may_install():
            debian.install(package)
        return shutil.which(program) or pytest.skip(f"{program} is not here: apt-get install {package}")

    return find


@pytest.fixture(scope="session")
def kubectl() -> str:
    """kubectl with kustomize in it."""
    return shutil.which("kubectl") or str(_from_debian_13("kubectl", "usr/bin/kubectl"))


@pytest.fixture(scope="session")
def compose() -> str:
    """Docker's compose, version 2, as a program of its own; it needs no engine to check a file."""
    for folder in (Path("/", DOCKER_PLUGINS), Path("/usr/local/lib/docker/cli-plugins")):
        if (folder / "docker-compose").exists():
            return str(folder / "docker-compose")
    return str(_from_debian_13("docker-compose", f"{DOCKER_PLUGINS}/docker-compose"))


def _from_debian_13(package: str, program: str) -> Path:
    """Unpacks a package of Debian 13 into .cache: Debian 12 has none, or one too old. The system stays as it is."""
    folder = ROOT / ".cache/debian-13"
    found = folder / "root" / program
    mirror = debian.mirror()
    if not found.exists() and (mirror is None or shutil.which("apt-get") is None):
        pytest.skip(f"{package} is not here, and there is no Debian mirror to fetch it from")
    if not found.exists():
        try:
            _unpack(folder, package, str(mirror))
        except subprocess.CalledProcessError as error:
            pytest.skip(f"{package} could not be fetched from Debian 13: {error.stderr.strip().splitlines()[-1:]}")
    return found


def _unpack(folder: Path, package: str, mirror: str) -> None:
    """apt with folders of its own: it reads Debian 13's list, and touches nothing of the system's."""
    (folder / "lists/partial").mkdir(parents=True, exist_ok=True)
    (folder / "cache/archives/partial").mkdir(parents=True, exist_ok=True)
    (folder / "status").touch()
    keys = "/usr/share/keyrings/debian-archive-keyring.gpg"
    (folder / "sources.list").write_text(f"deb [signed-by={keys}] {mirror} trixie main\n")
    places = {"Etc::sourcelist": "sources.list", "State::lists": "lists", "State::status": "status", "Cache": "cache"}
    options = [f"-oDir::{name}={folder / path}" for name, path in places.items()]
    options += ["-oDir::Etc::sourceparts=-", "-oAPT::Sandbox::User=root"]
    for words in (["update", "-q"], ["download", "-q", package]):
        subprocess.run(["apt-get", *options, *words], cwd=folder, check=True, capture_output=True, text=True)
    archive = next(folder.glob(f"{package}_*.deb"))
    subprocess.run(["dpkg", "-x", archive, folder / "root"], check=True, capture_output=True, text=True)
