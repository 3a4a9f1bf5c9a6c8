"""pytest fixtures: a private stack for tests, started at first use, shared by sessions that run side by side.

The last session that uses it ends it and drops its data, if a test session had started it; the logs stay.
What cannot start fails the tests; nothing is skipped.
"""

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from local.endpoints import Endpoints
from local.programs import RABBITMQ_PROGRAMS
from local.sharing import shared
from local.stack import Stack


@pytest.fixture(scope="session")
def test_stack_name() -> str:
    """The folder in `.run`; a conftest may name another."""
    return "test"


@pytest.fixture(scope="session")
def test_stack(pytestconfig: pytest.Config, test_stack_name: str) -> Iterator[Stack]:
    """The stack of `.run/test`, with nothing started yet; with another RabbitMQ than the machine's, one beside it."""
    root = pytestconfig.rootpath
    name = f"{test_stack_name}-rabbitmq" if os.environ.get(RABBITMQ_PROGRAMS) else test_stack_name
    with shared(Stack(root / ".run" / name, given_servers(os.environ, root / ".run" / "env"))) as stack:
        yield stack


@pytest.fixture(scope="session")
def endpoints(test_stack: Stack) -> Endpoints:
    """Database and broker, running."""
    return test_stack.start_infrastructure().endpoints


@pytest.fixture(scope="session")
def postgres_url(endpoints: Endpoints) -> str:
    """The owner's URL; the owner may create roles and databases. The tables of others may be there too."""
    return endpoints.database_url


@pytest.fixture(scope="session")
def rabbitmq_url(endpoints: Endpoints) -> str:
    """The administrator's AMQP URL."""
    return endpoints.amqp_url


@pytest.fixture(scope="session")
def rabbitmq_api_url(endpoints: Endpoints) -> str:
    """The management HTTP API's URL, with the administrator's credentials and without a path."""
    return endpoints.rabbitmq_api_url


def given_servers(environment: Mapping[str, str], env_file: Path) -> dict[str, str]:
    """The environment without what `make up` wrote: tests never use the stack that a person works with."""
    lines = env_file.read_text().splitlines() if env_file.exists() else []
    written = dict(line.split("=", 1) for line in lines if "=" in line)
    return {name: value for name, value in environment.items() if written.get(name) != value}
