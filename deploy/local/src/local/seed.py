"""First users and tokens, through project-api's own commands; and `.run/env`, which tells other programs of them."""

import json
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from local import credentials
from local.services import API, Services, executable


class CommandError(Exception):
    """One of our own commands failed; the message has the end of what it said."""


@dataclass(frozen=True)
class Seed:
    """The users that a fresh stack has, by id."""

    admins: list[int]
    tenant: int
    tenant_admin: int


def run(command: list[str], environment: Mapping[str, str], log: Path | None = None) -> str:
    """Runs one of our commands with this environment alone, and returns its standard output.

    Raises:
        CommandError: it exited with another status than 0.
    """
    whole = {"PATH": os.environ.get("PATH", os.defpath), **environment}
    done = subprocess.run(command, env=whole, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if log:
        log.write_text(done.stdout + done.stderr)
    if done.returncode:
        end = "\n".join(f"  {line}" for line in (done.stdout + done.stderr).splitlines()[-20:])
        raise CommandError(f"{Path(command[0]).name} failed with exit status {done.returncode}:\n{end}")
    return done.stdout


def plant(api: Mapping[str, str]) -> Seed:
    """Makes the first users where they are missing. `api` is project-api's environment."""
    return Seed(**json.loads(run([executable(API), "seed"], api)))


def token(api: Mapping[str, str], user: int) -> str:
    """A fresh token of a user."""
    return run([executable(API), "token", "--user", str(user)], api).strip()


def console_address(api: Mapping[str, str], console: str, user: int) -> str:
    """The console's address with a code that signs the user in, once. The code is in the fragment: no log sees it."""
    code = run([executable(API), "console-code", "--user", str(user)], api).strip()
    return f"{console}#code={code}"


def write_environment(services: Services, api: Mapping[str, str], seed: Seed) -> dict[str, str]:
    """Writes `.run/env` with renewed tokens; lists are comma-separated."""
    url = services.api_urls[0]
    values = {
        "UCA_API_URL": url,
        "UCA_ADMIN_TOKEN": token(api, seed.admins[0]),
        "UCA_TENANT_TOKEN": token(api, seed.tenant_admin),
        "UCA_SIMULATOR_URL": services.simulator_url,
        "UCA_AMQP_URL": services.endpoints.amqp_url,
        "UCA_RABBITMQ_API_URL": services.endpoints.rabbitmq_api_url,
        "UCA_DATABASE_URL": services.endpoints.database_url,
        "UCA_CONSOLE_URL": f"{url}/console",
        "UCA_METRICS_URLS": ",".join(f"{origin}/metrics" for origin in services.metrics_urls.values()),
        "UCA_PUSH_KEY": api["PUSH_KEY"],
    }
    if services.replicas > 1:
        values["UCA_API_URLS"] = ",".join(services.api_urls)
    text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in values.items())
    credentials.write_private(services.directory / "env", text)
    return values


def read_environment(directory: Path) -> dict[str, str]:
    """What `.run/env` says, empty before the first `make up`."""
    path = directory / "env"
    lines = path.read_text().splitlines() if path.exists() else []
    return {name: "".join(shlex.split(value)) for name, value in (line.split("=", 1) for line in lines if "=" in line)}
