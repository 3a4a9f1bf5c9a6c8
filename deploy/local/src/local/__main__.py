"""`python -m local …`: the commands behind `make up`, `make down` and their like."""

import argparse
import os
import sys

from local.endpoints import MissingSettingError
from local.programs import MissingProgramError
from local.readiness import NotReadyError
from local.stack import Stack, run_directory


def main() -> int:
    """Runs one command; what a person can put right is said in words, without a traceback."""
    parser = argparse.ArgumentParser(prog="local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("infrastructure", help="start database and broker only")
    commands.add_parser("down", help="end every process; WIPE=1 drops the data too")
    arguments = parser.parse_args()
    stack = Stack(run_directory())
    try:
        if arguments.command == "infrastructure":
            stack.start_infrastructure()
        elif arguments.command == "down":
            stack.down(wipe=os.environ.get("WIPE", "0") not in {"", "0"})
    except (MissingProgramError, MissingSettingError, NotReadyError, TimeoutError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
