"""The private stack, started by the first test that needs it and wiped after the last."""

import os
from collections.abc import Iterator

import pytest
from local.sharing import shared
from local.stack import Stack

from tests.security.ground import SETTINGS, Ground


@pytest.fixture(scope="session")
def ground(pytestconfig: pytest.Config) -> Iterator[Ground]:
    """The stack of `.run/security`, up and ready."""
    environment = {"PATH": os.environ["PATH"], **SETTINGS}
    with shared(Stack(pytestconfig.rootpath / ".run" / "security", environment)) as stack:
        yield Ground.start(stack)
