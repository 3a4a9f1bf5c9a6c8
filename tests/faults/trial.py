"""One row under way: its load, what it found out, and its line of the table."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from tests.faults import verdict
from tests.faults.ground import Ground
from tests.faults.scale import Scale
from tests.faults.stream import Stream
from tests.faults.verdict import Verdict


class NotHere(Exception):
    """This machine lacks what the row needs; the message says what."""


class Trial:
    """What a row's function is given."""

    def __init__(self, ground: Ground, scale: Scale, number: int) -> None:
        self.ground = ground
        self.scale = scale
        self.stream = self.new_stream(f"row-{number}")
        self.notes: list[str] = []
        self.complaints: list[str] = []
        self.poison = 0
        """Dead letters that the row means to leave behind."""
        self.may_fail = False
        """Whether a run may end as failed: only where the cloud itself refuses for good."""

    def new_stream(self, name: str, *, count: int | None = None, rate: float | None = None) -> Stream:
        """A load of its own; without figures, the row's."""
        urls, token = self.ground.api_urls, self.ground.values["UCA_ADMIN_TOKEN"]
        return Stream(urls, token, name=name, count=count or self.scale.projects, rate=rate or self.scale.rate)

    @asynccontextmanager
    async def load(self, *, over: float = 0) -> AsyncIterator[None]:
        """Sends the load beside the block, spread over at least so many seconds, and waits for its last answer."""
        if over:
            self.stream.rate = min(self.stream.rate, self.scale.projects / over)
        sending = asyncio.create_task(self.stream.run())
        try:
            yield
        finally:
            await sending

    def note(self, words: str) -> None:
        """A figure for the table."""
        self.notes.append(words)

    def expect(self, holds: bool, words: str) -> None:
        """Fails the row with these words unless it holds."""
        if not holds:
            self.complaints.append(words)


Act = Callable[[Trial], Awaitable[None]]


@dataclass(frozen=True)
class Row:
    """One fault. ``quick`` rows are in the short cut, too."""

    number: int
    fault: str
    act: Act
    quick: bool = True


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    row: Row
    cells: tuple[str, ...]
    state: str

    def line(self) -> str:
        return "| " + " | ".join((str(self.row.number), self.row.fault, *self.cells, self.state)) + " |"


HEADINGS = ("run", "2xx", "lost", "doubled", "stuck", "queued", "parked", "healed", "also")


async def run(row: Row, ground: Ground, scale: Scale) -> Result:
    """Runs one row and puts everything right again."""
    trial = Trial(ground, scale, row.number)
    begin = time.monotonic()
    found = Verdict()
    stamp = f"{time.strftime('%Y-%m-%d')} {scale.name}"
    try:
        before = await verdict.baseline(ground)
        await row.act(trial)
        found = await verdict.settle(ground, trial.stream, before)
        _judge(trial, found)
    except NotHere as lacking:
        return Result(row, (stamp, *("" for _ in HEADINGS[2:]), str(lacking)), "not run")
    except Exception as error:  # noqa: BLE001 - whatever it is, the other rows are to run and this one has failed
        trial.complaints.append(f"broke off: {error!r}".replace("|", "/"))
    finally:
        try:
            await ground.restore()
        except TimeoutError:
            trial.complaints.append("not all instances became ready again")
    words = "; ".join([*trial.notes, *(f"**{each}**" for each in trial.complaints)])
    cells = (
        stamp,
        *(str(each) for each in (found.accepted, found.lost, found.duplicates, found.stuck, found.queued)),
        str(found.parked),
        f"{found.seconds:.1f} s",
        words,
    )
    print(f"  row {row.number} took {time.monotonic() - begin:.0f} s", flush=True)
    return Result(row, cells, "failed" if trial.complaints else "passed")


def _judge(trial: Trial, found: Verdict) -> None:
    expected = len(trial.stream.accepted)
    trial.expect(expected >= trial.stream.count, f"only {expected} of {trial.stream.count} were ever accepted")
    for name in ("lost", "doubled_links", "doubled_keys", "doubled_projects", "stuck", "queued", "partial"):
        trial.expect(getattr(found, name) == 0, f"{name.replace('_', ' ')} {getattr(found, name)}")
    trial.expect(found.parked == trial.poison, f"parked {found.parked}, poison {trial.poison}")
    if not trial.may_fail:
        trial.expect(not found.failed_runs, f"{len(found.failed_runs)} runs failed, as {found.failed_runs[:3]}")
    others = {answer: n for answer, n in sorted(trial.stream.answers.items()) if answer != "2xx"}
    if others:
        trial.note("answers " + ", ".join(f"{answer}: {n}" for answer, n in others.items()))
