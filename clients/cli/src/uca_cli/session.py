"""One invocation of the command line: which API, in which form to answer, and with which code to end."""

import json
import os
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NoReturn

import typer
from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.markup import escape
from rich.segment import Segment
from rich.table import Column, Table

from uca_cli.client import Client, NoName, Refused, Unreachable


class Exit(IntEnum):
    """Exit codes."""

    FINE = 0
    FAILED = 1
    """The run failed, the cloud differs, or the API refused."""
    USAGE = 2
    UNREACHABLE = 3
    TIMEOUT = 4
    """What was watched goes on."""


CONTROLS = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]")
"""What a terminal may take for an order; a line's end is none."""


class Terminal(Console):
    """For a person. Names and errors are other people's words: those that would steer the terminal are left out."""

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """What is printed; orders of rich's own are apart from the text."""
        for text, style, control in super().render(renderable, options):
            yield Segment(text if control else CONTROLS.sub("", text), style, control)


@dataclass(frozen=True)
class Session:
    """``as_json``: answers are JSON on stdout, and nothing else is."""

    url: str
    token: str
    as_json: bool
    out: Terminal
    err: Terminal

    @contextmanager
    def client(self) -> Iterator[Client]:
        """The API. What goes wrong with it is said in a sentence, and ends the program with its code."""
        try:
            with Client(self.url, self.token) as client:
                yield client
        except NoName as wrong:
            self._end(Exit.USAGE, str(wrong))
        except Refused as refusal:
            self._end(Exit.FAILED, str(refusal), status=refusal.status, errors=refusal.errors)
        except Unreachable as silence:
            self._end(Exit.UNREACHABLE, str(silence))
        except TimeoutError as late:
            self._end(Exit.TIMEOUT, str(late))

    def print_json(self, content: BaseModel | Mapping[str, Any]) -> None:
        """One document on one line, as the API gave it."""
        plain = content.model_dump(mode="json") if isinstance(content, BaseModel) else content
        sys.stdout.write(f"{json.dumps(plain, ensure_ascii=False)}\n")
        sys.stdout.flush()

    def table(self, *columns: str, rows: list[list[str]], total: int) -> None:
        """A list for a person. The first column names what other commands take, so it is whole, however narrow."""
        first, *others = columns
        table = Table(Column(first, no_wrap=True), *others, box=None, pad_edge=False, header_style="bold")
        for row in rows:
            table.add_row(*(escape(cell) for cell in row))
        self.out.print(table if rows else "Nothing found.")
        if total > len(rows):
            self.err.print(f"{len(rows)} of {total}; see --page and --per-page.")

    def say(self, words: str) -> None:
        """For a person; never on a stdout that is read as JSON."""
        (self.err if self.as_json else self.out).print(escape(words))

    def _end(self, code: Exit, words: str, **more: Any) -> NoReturn:
        if self.as_json:
            self.print_json({"success": False, "message": words, **more})
        else:
            self.err.print(f"[red]{escape(words)}[/]")
        raise typer.Exit(code)


def open_session(as_json: bool) -> Session:
    """From UCA_API_URL and UCA_TOKEN, or UCA_ADMIN_TOKEN. Ends the program with 2 where one is missing."""
    err = Terminal(stderr=True)
    url = os.environ.get("UCA_API_URL", "")
    token = os.environ.get("UCA_TOKEN") or os.environ.get("UCA_ADMIN_TOKEN", "")
    for name, value in (("UCA_API_URL", url), ("UCA_TOKEN", token)):
        if not value:
            err.print(f"Set {name}. In local mode: set -a; . .run/env; set +a")
            raise typer.Exit(Exit.USAGE)
    return Session(url, token, as_json, Terminal(), err)
