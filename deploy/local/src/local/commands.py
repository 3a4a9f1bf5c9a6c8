"""What each command does and says."""

import argparse
import os
import sys
from collections.abc import Callable

import httpx
from rich.console import Console
from rich.table import Table

from local import ports, seed, services
from local.endpoints import MissingSettingError
from local.sharing import end_if_unused
from local.stack import Stack

Command = Callable[[Stack, argparse.Namespace], int | None]


def replicas() -> int:
    """How many of each service are asked for.

    Raises:
        MissingSettingError: REPLICAS is no number that makes sense.
    """
    words = os.environ.get("REPLICAS") or "1"
    if not words.isdecimal() or not 1 <= int(words) <= services.MOST_REPLICAS:
        raise MissingSettingError(f"REPLICAS={words}: set it to a number from 1 to {services.MOST_REPLICAS}")
    return int(words)


def up(stack: Stack, _: argparse.Namespace) -> None:
    values = stack.up(replicas())
    print(f"Ready: {values['UCA_API_URL']} (docs: /docs). {stack.directory / 'env'} has the addresses and tokens.")


def infrastructure(stack: Stack, _: argparse.Namespace) -> None:
    stack.start_infrastructure()


def down(stack: Stack, _: argparse.Namespace) -> None:
    for tests in ("test", "test-whole"):
        end_if_unused(Stack(stack.directory / tests))
    stack.down(wipe=os.environ.get("WIPE", "0") not in {"", "0"})


def migrate(stack: Stack, _: argparse.Namespace) -> None:
    stack.migrate()
    print(stack.supervisor.log("migrator").read_text(), end="")


def status(stack: Stack, _: argparse.Namespace) -> int:
    """Exits 1 when something that should run isn't ready."""
    if not stack.supervisor.is_running():
        print("Nothing runs; start it with: make up")
        return 0
    table = Table("process", "state", "since", "ready")
    fine = True
    port = ports.remembered(stack.directory / "ports.json")
    for process in stack.supervisor.overview():
        metrics = port.get(f"{process['name']} metrics")
        ready = _is_ready(f"http://127.0.0.1:{metrics}") if metrics else None
        fine = fine and process["statename"] == "RUNNING" and ready is not False
        words = {None: "", True: "ready", False: "not ready"}[ready]
        table.add_row(process["name"], process["statename"].lower(), process["description"], words)
    Console().print(table)
    return 0 if fine else 1


def logs(stack: Stack, arguments: argparse.Namespace) -> None:
    """Becomes `tail`: it follows on a terminal, and elsewhere prints the ends."""
    pattern = f"{arguments.name}.log" if arguments.name else "*.log"
    files = sorted(str(path) for path in (stack.directory / "logs").glob(pattern))
    if files:
        follow = ["-F"] if sys.stdout.isatty() else []
        os.execvp("tail", ["tail", "-n", "50", *follow, *files])
    known = ", ".join(sorted(path.stem for path in (stack.directory / "logs").glob("*.log")))
    print(
        f"There is no log of {arguments.name}; the logs are: {known}" if known else "No logs yet; start with: make up"
    )


def token(stack: Stack, arguments: argparse.Namespace) -> None:
    if arguments.user is None:
        print(seed.read_environment(stack.directory).get("UCA_ADMIN_TOKEN") or _absent())
    else:
        print(seed.token(stack.api_environment(_services(stack)), arguments.user))


def console(stack: Stack, arguments: argparse.Namespace) -> None:
    """Names the console's address, which signs a user in; the first admin unless another is named."""
    url = seed.read_environment(stack.directory).get("UCA_CONSOLE_URL") or _absent()
    api = stack.api_environment(_services(stack))
    print(seed.console_address(api, url, arguments.user or seed.plant(api).admins[0]))


def run(stack: Stack, arguments: argparse.Namespace) -> None:
    """Becomes the service's command, with the environment of its first replica."""
    name, *words = arguments.words
    known = {service.name: service for service in services.SERVICES}
    if name not in known:
        raise MissingSettingError(f"There is no service {name}; the services are: {', '.join(known)}")
    environment = _services(stack).environment(known[name], 1, stack.environment)
    os.execve(services.executable(name), [name, *words], {**os.environ, **environment})


def _services(stack: Stack) -> services.Services:
    if not stack.supervisor.is_running():
        _absent()
    return stack.services(stack.infrastructure(), 1)


def _absent() -> str:
    raise MissingSettingError("Nothing runs; start it with: make up")


def _is_ready(origin: str) -> bool:
    try:
        return httpx.get(f"{origin}/readyz", timeout=2).is_success
    except httpx.HTTPError:
        return False
