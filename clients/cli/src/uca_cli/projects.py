"""uca project …"""

from typing import Annotated, Any

import typer

from uca_cli import watching
from uca_cli.session import Exit, Session, open_session

app = typer.Typer(no_args_is_help=True, help="Create, watch and change projects.")

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Identifier = Annotated[str, typer.Argument(help="The project's identifier, as F8Z4RK2M.")]
Wait = Annotated[bool, typer.Option("--wait", "-w", help="Watch until the run has ended.")]
Timeout = Annotated[float, typer.Option(help="Seconds to watch for; after that it ends with 4.", min=1)]
Page = Annotated[int, typer.Option(min=1)]
PerPage = Annotated[int, typer.Option(min=1, max=100)]

LONG = 900.0


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="1 to 255 characters, unique in its tenant.")],
    *,
    region: Annotated[str, typer.Option(help="The region's code.")],
    tenant: Annotated[int | None, typer.Option(help="The tenant's id; its users will be in.")] = None,
    member: Annotated[list[int] | None, typer.Option(help="A user's id; may be given many times.")] = None,
    description: Annotated[str | None, typer.Option()] = None,
    provider: Annotated[str | None, typer.Option(help="zadara unless given.")] = None,
    wait: Wait = False,
    timeout: Timeout = LONG,
    as_json: Json = False,
) -> None:
    """Create a project; it answers at once, and --wait watches it become active."""
    session = open_session(as_json)
    scope = "tenant" if tenant else None
    with session.client() as client:
        made = client.create(
            name=name,
            region=region,
            tenant_id=tenant,
            assignment_scope=scope,
            member_user_ids=member,
            description=description,
            provider=provider,
        )
        if not wait:
            session.print_json(made) if as_json else session.say(f"{made.identifier}: {made.message}")
            return
        session.err.print(f"{made.identifier}: {made.message}")
        watching.end(session, watching.follow(session, client, made.identifier, timeout))


@app.command("list")
def list_projects(
    *,
    status: Annotated[str | None, typer.Option(help="active, failed, provisioning or suspended.")] = None,
    region: Annotated[str | None, typer.Option()] = None,
    tenant: Annotated[int | None, typer.Option(help="The tenant's id.")] = None,
    search: Annotated[str | None, typer.Option(help="Part of the name, or an identifier.")] = None,
    sort: Annotated[str, typer.Option(help="created_at, updated_at or name; a minus turns it round.")] = "-created_at",
    page: Page = 1,
    per_page: PerPage = 20,
    as_json: Json = False,
) -> None:
    """List projects, the newest first."""
    session = open_session(as_json)
    query: dict[str, Any] = {"status": status, "region": region, "tenant_id": tenant, "search": search, "sort": sort}
    with session.client() as client:
        found = client.projects(page=page, per_page=per_page, **query)
    if as_json:
        session.print_json(found)
        return
    rows = [
        [p.identifier, p.name, p.status, f"{p.progress.percent} %", p.region, f"{p.created_at:%Y-%m-%d %H:%M}"]
        for p in found.data
    ]
    session.table("identifier", "name", "status", "progress", "region", "created", rows=rows, total=found.meta.total)


@app.command()
def show(identifier: Identifier, as_json: Json = False) -> None:
    """Show how far a project is, its users, and what can be done now."""
    session = open_session(as_json)
    with session.client() as client:
        status = client.status(identifier)
    if as_json:
        session.print_json(status)
    else:
        watching.show(session, status)


@app.command()
def watch(identifier: Identifier, timeout: Timeout = LONG, as_json: Json = False) -> None:
    """Watch until the run has ended: 0 where it is active or suspended, 1 where it failed, 4 where it goes on."""
    session = open_session(as_json)
    with session.client() as client:
        watching.end(session, watching.follow(session, client, identifier, timeout))


def _ask(session: Session, identifier: str, verb: str, *, wait: bool, timeout: float) -> None:
    with session.client() as client:
        leaving = verb == "delete"
        done = client.delete(identifier) if leaving else client.command(identifier, verb)
        if not wait:
            session.print_json(done) if session.as_json else session.say(done.message)
            return
        session.err.print(done.message)
        last = watching.follow(session, client, identifier, timeout, leaving=leaving)
        watching.end(session, last, cancelling=verb == "cancel")


def _add(name: str, verb: str, words: str) -> None:
    def command(identifier: Identifier, wait: Wait = False, timeout: Timeout = LONG, as_json: Json = False) -> None:
        _ask(open_session(as_json), identifier, verb, wait=wait, timeout=timeout)

    app.command(name, help=words)(command)


_add("retry", "retry-provisioning", "Run again what failed; what is right already stays as it is.")
_add("cancel", "cancel", "Stop the run at its next step.")
_add("suspend", "suspend", "Switch all access off; nothing is deleted.")
_add("resume", "resume", "Switch the access on again.")


@app.command()
def delete(
    identifier: Identifier,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    wait: Wait = False,
    timeout: Timeout = LONG,
    as_json: Json = False,
) -> None:
    """Revoke all access and remove the project from the cloud."""
    session = open_session(as_json)
    if not yes and not typer.confirm(f"Delete {identifier} and all access to it?", err=True):
        raise typer.Exit(Exit.USAGE)
    _ask(session, identifier, "delete", wait=wait, timeout=timeout)


@app.command()
def verify(identifier: Identifier, as_json: Json = False) -> None:
    """Read the cloud and compare: 0 where it has what it should have, else 1."""
    session = open_session(as_json)
    with session.client() as client:
        found = client.verify(identifier)
    if as_json:
        session.print_json(found)
    else:
        session.say(found.message)
        for change in found.drift:
            former = f" ({', '.join(change['former'])})" if change.get("former") else ""
            session.say(f"  {change['name']}: {', '.join(change['actions'])}{former}")
    if not found.in_sync:
        raise typer.Exit(Exit.FAILED)
