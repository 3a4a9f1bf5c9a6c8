"""The table: printed whole, and kept in docs/faults.md, where a row that did not run keeps what it last showed."""

import platform
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import asyncpg
from local import programs

from tests.faults.trial import HEADINGS, Result, Row

BEGIN, END = "<!-- table -->\n", "<!-- end of table -->\n"


def left_out(row: Row) -> Result:
    """A row that was not asked for."""
    return Result(row, ("",) * len(HEADINGS), "not run")


def text(results: Sequence[Result]) -> str:
    """The whole table."""
    return "\n".join([*_head(), *(result.line() for result in results)])


def record(path: Path, results: Sequence[Result], options: str) -> None:
    """Puts these results in place of those that the file has of the same rows, with date, versions and command."""
    content = path.read_text()
    start, end = content.index(BEGIN) + len(BEGIN), content.index(END)
    lines = {int(found[1]): found[0] for found in re.finditer(r"^\| (\d+) \|.*$", content[start:end], re.M)}
    lines |= {
        result.row.number: result.line() for result in results if result.state != "not run" or _is_new(result, lines)
    }
    command = f"`make faults{' ARGS=' + repr(options) if options else ''}`"
    about = f"Last run: {time.strftime('%Y-%m-%d %H:%M')}, {command}, on {versions()}.\n"
    rows = "\n".join(lines[number] for number in sorted(lines))
    path.write_text(content[:start] + f"{about}\n" + "\n".join(_head()) + f"\n{rows}\n" + content[end:])


def _is_new(result: Result, lines: dict[int, str]) -> bool:
    return result.row.number not in lines


def versions() -> str:
    """What the matrix ran on."""
    postgres = _says(str(programs.postgresql() / "postgres"), "--version").rpartition(") ")[2] or "?"
    rabbitmq = next(
        (p.name.removeprefix("rabbitmq_server-") for p in programs.rabbitmq().parents[1].glob("lib/rabbitmq_server-*")),
        "?",
    )
    return (
        f"Python {platform.python_version()}, PostgreSQL {postgres.split()[0] if postgres.split() else '?'},"
        f" RabbitMQ {rabbitmq}, asyncpg {asyncpg.__version__}, {sys.platform}"
    )


def _says(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()


def _head() -> list[str]:
    names = ("#", "fault", *HEADINGS, "result")
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]
