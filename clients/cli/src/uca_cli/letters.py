"""uca dead-letters …"""

import json
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from uca_cli.projects import Json, Page, PerPage
from uca_cli.session import Exit, Session, open_session

app = typer.Typer(no_args_is_help=True, help="Messages that could not be understood, or kept failing.")

Names = Annotated[list[str] | None, typer.Argument(help="Letters as service/id; or choose by the options.")]
Name = Annotated[str, typer.Argument(help="A letter as service/id.")]
Service = Annotated[str | None, typer.Option(help="Of this service.")]
Project = Annotated[str | None, typer.Option(help="Of this project.")]
Error = Annotated[str | None, typer.Option(help="Whose reason or error has these words.")]


def _time(words: str) -> datetime:
    try:
        time = datetime.fromisoformat(words)
    except ValueError:
        raise typer.BadParameter(f"{words!r} is no time; write 2026-01-31T12:00:00Z.") from None
    return time if time.tzinfo else time.replace(tzinfo=UTC)


Since = Annotated[
    datetime | None, typer.Option(parser=_time, metavar="TIME", help="Parked at this time or later (ISO 8601; UTC).")
]
Until = Annotated[
    datetime | None, typer.Option(parser=_time, metavar="TIME", help="Parked before this time (ISO 8601; UTC).")
]


def _choice(
    *, service: str | None, project: str | None, error: str | None, since: datetime | None, until: datetime | None
) -> dict[str, Any]:
    times = {"since": since, "until": until}
    written = {name: time.isoformat() for name, time in times.items() if time is not None}
    given = {"service": service, "project": project, "error": error}
    return {name: value for name, value in given.items() if value is not None} | written


@app.command("list")
def list_letters(
    *,
    service: Service = None,
    project: Project = None,
    error: Error = None,
    since: Since = None,
    until: Until = None,
    state: Annotated[str, typer.Option(help="open, replayed, discarded or all.")] = "open",
    page: Page = 1,
    per_page: PerPage = 20,
    as_json: Json = False,
) -> None:
    """List dead letters, the newest first."""
    session = open_session(as_json)
    with session.client() as client:
        found = client.letters(
            state=state,
            page=page,
            per_page=per_page,
            **_choice(service=service, project=project, error=error, since=since, until=until),
        )
    if as_json:
        session.print_json(found)
        return
    rows = [
        [
            each.name,
            each.type,
            each.project,
            each.reason,
            each.error[:60],
            each.state,
            f"{each.parked_at:%Y-%m-%d %H:%M}",
        ]
        for each in found.data
    ]
    session.table("letter", "type", "project", "reason", "error", "state", "parked", rows=rows, total=found.meta.total)


@app.command()
def show(letter: Name, as_json: Json = False) -> None:
    """Show one letter with its body and headers."""
    session = open_session(as_json)
    service, number = _parsed(session, letter)
    with session.client() as client:
        found = client.letter(service, number)
    if as_json:
        session.print_json(found)
    else:
        session.out.print_json(json.dumps(found.model_dump(mode="json")))


def _decide(verb: str, names: list[str] | None, choice: dict[str, Any], *, as_json: bool) -> None:
    session = open_session(as_json)
    ids: dict[str, list[int]] = {}
    for name in names or ():
        service, number = _parsed(session, name)
        ids.setdefault(service, []).append(number)
    if ids:
        choice["ids"] = ids
    if not choice:
        session.err.print("Name letters, or choose them by --service, --project, --error, --since or --until.")
        raise typer.Exit(Exit.USAGE)
    with session.client() as client:
        done = client.decide(verb, **choice)
    session.print_json(done) if as_json else session.say(done.message)


def _add(verb: str, words: str) -> None:
    def command(
        letters: Names = None,
        *,
        service: Service = None,
        project: Project = None,
        error: Error = None,
        since: Since = None,
        until: Until = None,
        as_json: Json = False,
    ) -> None:
        _decide(
            verb,
            letters,
            _choice(service=service, project=project, error=error, since=since, until=until),
            as_json=as_json,
        )

    app.command(verb, help=words)(command)


_add("replay", "Hand letters to their services again.")
_add("discard", "Close letters for good; they stay on record.")


def _parsed(session: Session, name: str) -> tuple[str, int]:
    service, _, number = name.partition("/")
    if not service or not number.isdecimal():
        session.err.print(f"{name} is no letter; write service/id, as in user-syncer/7.")
        raise typer.Exit(Exit.USAGE)
    return service, int(number)
