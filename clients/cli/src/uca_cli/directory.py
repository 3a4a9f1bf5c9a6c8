"""uca users …, uca tenants …"""

from typing import Annotated

import typer

from uca_cli.projects import Json, Page, PerPage
from uca_cli.session import open_session

users = typer.Typer(no_args_is_help=True, help="Users of the directory.")
tenants = typer.Typer(no_args_is_help=True, help="Tenants of the directory.")

Search = Annotated[str | None, typer.Option(help="Part of the name or e-mail.")]


@users.command("list")
def list_users(
    *,
    search: Search = None,
    role: Annotated[str | None, typer.Option(help="admin, tenant_admin or member.")] = None,
    tenant: Annotated[int | None, typer.Option(help="The tenant's id.")] = None,
    page: Page = 1,
    per_page: PerPage = 20,
    as_json: Json = False,
) -> None:
    """List users by id."""
    session = open_session(as_json)
    with session.client() as client:
        found = client.users(search=search, role=role, tenant_id=tenant, page=page, per_page=per_page)
    if as_json:
        session.print_json(found)
        return
    rows = [[str(each.id), each.name, each.email, each.role, str(each.tenant_id or "")] for each in found.data]
    session.table("id", "name", "email", "role", "tenant", rows=rows, total=found.meta.total)


@tenants.command("list")
def list_tenants(search: Search = None, page: Page = 1, per_page: PerPage = 20, as_json: Json = False) -> None:
    """List tenants by name."""
    session = open_session(as_json)
    with session.client() as client:
        found = client.tenants(search=search, page=page, per_page=per_page)
    if as_json:
        session.print_json(found)
        return
    rows = [[str(each.id), each.name] for each in found.data]
    session.table("id", "name", rows=rows, total=found.meta.total)
