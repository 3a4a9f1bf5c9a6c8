"""The commands behind `make up`, `make down` and their like; UCA_RUN_DIR names another run directory than `.run`."""

import argparse
import os
import subprocess
import sys

from local import commands, demo, scaffold
from local.credentials import UnreadableError
from local.endpoints import MissingSettingError
from local.programs import MissingProgramError
from local.readiness import NotReadyError
from local.seed import CommandError
from local.stack import Stack, run_directory

EXPECTED = (
    MissingProgramError,
    MissingSettingError,
    UnreadableError,
    NotReadyError,
    CommandError,
    OSError,  # a run directory of another account, a full disk; also a server that does not end in time
    subprocess.CalledProcessError,  # initdb, which has said why
)


def main() -> int:
    """Runs one command; what a person can put right is said in words, without a traceback."""
    arguments = _parser().parse_args()
    try:
        return int(arguments.run(Stack(run_directory()), arguments) or 0)
    except EXPECTED as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="local", description=__doc__)
    known = parser.add_subparsers(required=True)

    def add(name: str, run: commands.Command, words: str) -> argparse.ArgumentParser:
        command = known.add_parser(name, help=words)
        command.set_defaults(run=run)
        return command

    add("up", commands.up, "start all and wait until ready; REPLICAS=2 runs two of each service")
    add("infrastructure", commands.infrastructure, "start database and broker only")
    add("down", commands.down, "end every process; WIPE=1 drops the data too")
    show = add("demo", demo.run, "bring all up, create a project and watch it become active")
    show.add_argument("--fail-user", action="store_true", help="let the cloud refuse one user at first")
    show.add_argument("--provider", choices=demo.CLOUDS, default="zadara", help="keystone: on a real one of its own")
    add("status", commands.status, "what runs, and whether it is ready")
    add("logs", commands.logs, "follow the logs").add_argument("name", nargs="?", help="one process's only")
    add("migrate", commands.migrate, "bring schemas and broker definitions up to date")
    add("token", commands.token, "print a token").add_argument("user", nargs="?", type=int, help="a user's id")
    show = add("console", commands.console, "print the console's address, which signs you in once")
    show.add_argument("user", nargs="?", type=int, help="a user's id")
    add("service", scaffold.run, "make a new service").add_argument("name", nargs="?", help="such as audit-log")
    add("run", commands.run, "run a service's command in its environment").add_argument("words", nargs="+")
    return parser


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main())
