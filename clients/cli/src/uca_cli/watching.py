"""Following a run in the terminal."""

from collections.abc import Callable

import typer
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from uca_cli.client import Client, Refused
from uca_cli.models import Status
from uca_cli.session import Exit, Session

GONE = 404


def follow(
    session: Session, client: Client, identifier: str, seconds: float, *, leaving: bool = False
) -> Status | None:
    """The run's last status, None where the project is gone; each one is shown, as a bar or as a line of JSON.

    One that is ``leaving`` may be gone before the first look. Raises Refused for any other that is not there.
    """
    if session.as_json:
        return _each(client, identifier, seconds, session.print_json, leaving=leaving)
    columns = TextColumn("{task.description}"), BarColumn(30), TextColumn("{task.percentage:>3.0f} %")
    with Progress(*columns, TimeElapsedColumn(), console=session.err) as progress:
        bar = progress.add_task(identifier, total=100)

        def show(status: Status) -> None:
            words = escape(status.progress.message or status.status)
            progress.update(bar, completed=status.progress.percent, description=words)

        return _each(client, identifier, seconds, show, leaving=leaving)


def _each(
    client: Client, identifier: str, seconds: float, show: Callable[[Status], None], *, leaving: bool
) -> Status | None:
    last = None
    try:
        for last in client.watch(identifier, seconds):
            show(last)
    except Refused as refusal:
        if refusal.status != GONE or (last is None and not leaving):
            raise
        return None
    return last


def end(session: Session, status: Status | None, *, cancelling: bool = False) -> None:
    """Says how it ended; exits with 1 where it failed, but for a run that was to end so: ``cancelling``."""
    if status is None:
        session.say("The project is deleted.")
        return
    if not session.as_json:
        show(session, status)
    was_cancelled = status.failure is not None and status.failure.code == "cancelled"
    if status.status == "failed" and not (cancelling and was_cancelled):
        raise typer.Exit(Exit.FAILED)


def show(session: Session, status: Status) -> None:
    """A status for a person."""
    colour = {"active": "green", "failed": "red", "suspended": "yellow"}.get(status.status, "cyan")
    out = session.out
    out.print(
        f"[bold]{escape(status.project.name)}[/] {status.identifier}: [{colour}]{status.status}[/], run {status.run}"
    )
    if status.error:
        out.print(f"[red]{escape(status.error)}[/]")
    if status.waiting:
        out.print(f"[yellow]{escape(str(status.waiting['message']))}[/]")
    for step in status.project.provisioning_progress:
        out.print(f"  {step.label:<22} {step.status}")
    for user in status.project.users.local:
        words = f"{user.email}  {user.status}" + (f": {user.error.message} ({user.error.code})" if user.error else "")
        if user.error or len(status.project.users.local) <= 20:
            out.print(f"  {escape(words)}")
    open_now = [name.removeprefix("can_").replace("_", " ") for name, is_open in status.actions.items() if is_open]
    out.print(f"  open now: {', '.join(open_now) or 'nothing'}", style="dim")
