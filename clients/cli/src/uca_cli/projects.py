"""uca project …"""

from collections.abc import Callable
from functools import partial
from typing import Annotated, Any

import typer

from uca_cli import watching
from uca_cli.client import Client
from uca_cli.models import Done
from uca_cli.session import Exit, Session, open_session

app = typer.Typer(no_args_is_help=True, help="Create, watch and change projects.")

Json = Annotated[bool, typer.Option("--json", help="Answer as JSON.")]
Identifier = Annotated[str, typer.Argument(help="The project's identifier, as F8Z4RK2M.")]
UserId = Annotated[int, typer.Argument(help="The user's id.")]
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


def _ask(
    session: Session,
    identifier: str,
    command: Callable[[Client], Done],
    *,
    wait: bool,
    timeout: float,
    leaving: bool = False,
    cancelling: bool = False,
) -> None:
    with session.client() as client:
        done = command(client)
        if not wait:
            session.print_json(done) if session.as_json else session.say(done.message)
            return
        session.err.print(done.message)
        last = watching.follow(session, client, identifier, timeout, leaving=leaving)
        watching.end(session, last, cancelling=cancelling)


def _add(name: str, verb: str, words: str) -> None:
    def command(identifier: Identifier, wait: Wait = False, timeout: Timeout = LONG, as_json: Json = False) -> None:
        plain = partial(Client.command, identifier=identifier, verb=verb)
        cancelling = verb == "cancel"
        _ask(open_session(as_json), identifier, plain, wait=wait, timeout=timeout, cancelling=cancelling)

    app.command(name, help=words)(command)


_add("provision", "provision", "Work out who is to be in, and give the cloud what it lacks.")
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
    removal = partial(Client.delete, identifier=identifier)
    _ask(session, identifier, removal, wait=wait, timeout=timeout, leaving=True)


@app.command()
def members(
    identifier: Identifier,
    users: Annotated[list[int] | None, typer.Argument(help="Users' ids; none leaves nobody chosen.")] = None,
    *,
    wait: Wait = False,
    timeout: Timeout = LONG,
    as_json: Json = False,
) -> None:
    """Choose who is in beside admins and the tenant's users: these, and no others."""
    chosen = partial(Client.members, identifier=identifier, user_ids=users or [])
    _ask(open_session(as_json), identifier, chosen, wait=wait, timeout=timeout)


@app.command()
def sync(
    identifier: Identifier, user: UserId, wait: Wait = False, timeout: Timeout = LONG, as_json: Json = False
) -> None:
    """Sync one user afresh, with a new credential."""
    afresh = partial(Client.sync_user, identifier=identifier, user_id=user)
    _ask(open_session(as_json), identifier, afresh, wait=wait, timeout=timeout)


@app.command()
def credential(identifier: Identifier, user: UserId, as_json: Json = False) -> None:
    """Read a user's credential: once, and on record."""
    session = open_session(as_json)
    with session.client() as client:
        found = client.credential(identifier, user)
    if as_json:
        session.print_json(found)
    else:
        session.say(f"access key  {found.access_key}\nsecret key  {found.secret_key}")


@app.command()
def preview(identifier: Identifier, as_json: Json = False) -> None:
    """Show what a provision would do: who is in and why, and what would change on the cloud."""
    session = open_session(as_json)
    with session.client() as client:
        found = client.preview(identifier)
    if as_json:
        session.print_json(found)
        return
    rows = [[each.email, each.role, ", ".join(each.reasons)] for each in found.participants]
    session.table("participant", "role", "why", rows=rows, total=len(rows))
    for change in found.changes:
        session.say(f"  {change['name']}: {', '.join(change['actions'])}")
    session.say(f"{found.calls} calls on the cloud.")


@app.command()
def events(identifier: Identifier, page: Page = 1, per_page: PerPage = 20, as_json: Json = False) -> None:
    """List what has happened to a project, the newest first."""
    session = open_session(as_json)
    with session.client() as client:
        found = client.events(identifier, page=page, per_page=per_page)
    if as_json:
        session.print_json(found)
        return
    rows = [[f"{each.time:%Y-%m-%d %H:%M:%S}", str(each.run), each.message] for each in found.data]
    session.table("time", "run", "what", rows=rows, total=found.meta.total)


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
