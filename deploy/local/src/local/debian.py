"""Installs Debian packages without letting them start a system service."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

POLICY = Path("/usr/sbin/policy-rc.d")
"""Debian's maintainer scripts ask this program before they start a service; 101 forbids it (see invoke-rc.d(8))."""

SOURCES = Path("/etc/apt/sources.list")


def may_install() -> bool:
    """Whether this process may install packages: it is root on a machine that has apt-get."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def install(package: str) -> None:
    """Installs a package, with nothing that it only recommends; its service starts neither now nor at the next boot.

    The service must be named like the package.

    Raises:
        RuntimeError: apt-get failed; its last lines are in the message.
    """
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    with _no_service_starts():
        _apt(["update", "-q"], environment)
        _apt(["install", "-q", "-y", "--no-install-recommends", package], environment)
    subprocess.run(["update-rc.d", package, "disable"], env=environment, capture_output=True, check=False)


def mirror() -> str | None:
    """Where this machine gets its Debian packages."""
    for file in [SOURCES, *sorted(SOURCES.with_suffix(".list.d").glob("debian*"))]:
        for line in file.read_text().splitlines() if file.exists() else ():
            words = line.split()
            if words[:1] == ["URIs:"]:
                return words[1]
            if words[:1] == ["deb"]:
                return next(word for word in words if "://" in word)
    return None


def _apt(arguments: Sequence[str], environment: dict[str, str]) -> None:
    command = ["apt-get", "-o", "DPkg::Lock::Timeout=300", *arguments]
    done = subprocess.run(
        command, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).splitlines()[-15:])
        raise RuntimeError(f"{' '.join(command)} failed:\n{last}")


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Forbids service starts while packages install; a policy that was there comes back afterwards."""
    kept = POLICY.with_name("policy-rc.d.kept-by-uca")
    if POLICY.exists():
        POLICY.rename(kept)
    try:
        POLICY.write_text("#!/bin/sh\nexit 101\n")
        POLICY.chmod(0o755)
        yield
    finally:
        POLICY.unlink(missing_ok=True)
        if kept.exists():
            kept.rename(POLICY)
