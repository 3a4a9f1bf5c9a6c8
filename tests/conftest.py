"""One private stack for every test across services, two replicas of each."""

import pytest
from local import seed
from local.stack import Stack

REPLICAS = 2


@pytest.fixture(scope="session")
def test_stack_name() -> str:
    """A stack apart: a broker that is restarted here is none that tests of the parts, which run beside, stand on."""
    return "test-whole"


@pytest.fixture(scope="session")
def stack(test_stack: Stack) -> Stack:
    """The stack of `.run/test-whole`, up and ready; its pid files and logs are in `stack.directory`."""
    test_stack.up(REPLICAS)
    return test_stack


@pytest.fixture(scope="session")
def environment(stack: Stack) -> dict[str, str]:
    """What `.run/test-whole/env` says: UCA_API_URL, UCA_API_URLS, UCA_ADMIN_TOKEN and so on."""
    return seed.read_environment(stack.directory)
