"""A real Keystone as a part of a stack: from the first demo that asks for it until the data are dropped."""

import shutil
from pathlib import Path

from clouds.testing import Keystone, settled_keystone

from local.programs import MissingProgramError

REGION = "keystone-1"
PROGRAM = "keystone"


def want(directory: Path) -> None:
    """Makes it a part of the run directory's stack, from its next start on. The first call takes half a minute.

    Raises:
        MissingProgramError: it cannot be installed.
    """
    try:
        settled_keystone(_home(directory), port=0)
    except RuntimeError as error:
        raise MissingProgramError(f"Keystone could not be installed from PyPI: {error}") from error


def is_wanted(directory: Path) -> bool:
    """Whether it is a part of the stack."""
    return _home(directory).exists()


def load(directory: Path, port: int) -> Keystone:
    """Where it is and how to run it on this port."""
    return settled_keystone(_home(directory), port)


def wipe(directory: Path) -> None:
    """Drops its data, and it is no part of the stack any more; it must not run."""
    shutil.rmtree(_home(directory), ignore_errors=True)


def _home(directory: Path) -> Path:
    return directory / "keystone"
