"""What a caller sees of the projects, by every statement's own WHERE; behind it the database holds tenants apart."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from backbone.database import Connection

from project_api.parts import Caller
from project_api.web.errors import Problem, forbidden, not_found


class Scope(StrEnum):
    """The condition on ``p`` (projects) that each statement of a caller carries."""

    ALL = "true"
    TENANT = "p.tenant_id = :of_tenant"
    MEMBER = (
        "p.tenant_id = :of_tenant AND EXISTS"
        " (SELECT FROM participants AS own WHERE own.identifier = p.identifier AND own.user_id = :viewer)"
    )
    GUEST = "EXISTS (SELECT FROM participants AS own WHERE own.identifier = p.identifier AND own.user_id = :viewer)"
    """Somebody without a tenant: the database has no tenant to hold them to, so the participants alone decide."""


def scope(caller: Caller) -> Scope:
    """Which condition holds for this caller."""
    principal = caller.principal
    if principal.is_admin:
        return Scope.ALL
    if principal.tenant_id is None:
        return Scope.GUEST
    return Scope.TENANT if principal.role == "tenant_admin" else Scope.MEMBER


def parameters(caller: Caller) -> dict[str, Any]:
    """What the scopes' conditions take; a statement takes of it what its own names."""
    return {"of_tenant": caller.principal.tenant_id, "viewer": caller.principal.user_id}


def scoped(statement: Callable[[Scope], str]) -> dict[Scope, str]:
    """One prepared statement for each scope."""
    return {each: statement(each) for each in Scope}


NO_PROJECT = "There is no such project."
SEES = scoped(lambda where: f"SELECT 1 FROM projects AS p WHERE p.identifier = :identifier AND {where}")  # noqa: S608 - our own words


WRITING = (Scope.ALL, Scope.TENANT)
"""Members read; admins change every project, and tenant admins their tenant's."""


def may_write(caller: Caller) -> bool:
    """Whether the caller may change what they see."""
    return scope(caller) in WRITING


async def require_reader(connection: Connection, caller: Caller, identifier: str) -> None:
    """Raises a 404 for a caller who doesn't see the project."""
    seen = await connection.execute(SEES[scope(caller)], {"identifier": identifier, **parameters(caller)})
    if seen.one_or_none() is None:
        raise not_found(NO_PROJECT)


async def require_writer(caller: Caller, identifier: str) -> None:
    """Raises a 403 for a caller who only reads the project, a 404 for one who doesn't see it."""
    if may_write(caller):
        return
    async with caller.reading() as connection:
        await require_reader(connection, caller, identifier)
    raise readers_only()


def readers_only() -> Problem:
    """The 403 of a caller who only reads."""
    return forbidden("Only administrators may change projects.")
