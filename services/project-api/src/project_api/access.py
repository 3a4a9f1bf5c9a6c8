"""What a caller sees of the projects, by every statement's own WHERE; behind it the database holds tenants apart."""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from backbone.database import Connection

from project_api.parts import Caller
from project_api.web.errors import Problem, forbidden, not_found

OWN = "p.tenant_id = :of_tenant"
NAMED = "EXISTS (SELECT FROM participants AS own WHERE own.identifier = p.identifier AND own.user_id = :viewer)"


class Scope(StrEnum):
    """The condition on ``p`` (projects) that each statement of a caller carries."""

    ALL = "true"
    TENANT = f"({OWN} OR p.tenant_id IS NULL AND {NAMED})"
    """What has no tenant is nobody's but whom it names; of these a tenant's admin is one as its members are."""
    MEMBER = f"(({OWN} OR p.tenant_id IS NULL) AND {NAMED})"
    GUEST = NAMED
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
SEES = scoped(lambda where: f"SELECT p.tenant_id FROM projects AS p WHERE p.identifier = :identifier AND {where}")  # noqa: S608 - our own words


def may_write(caller: Caller) -> bool:
    """Whether they make and change projects at all: members only read."""
    return scope(caller) in (Scope.ALL, Scope.TENANT)


def may_change(caller: Caller, tenant_id: int | None) -> bool:
    """Whether a project of that tenant, which they see, is theirs to change: admins' every one, tenant admins' their
    tenant's. What has no tenant they only read."""
    return may_write(caller) and (scope(caller) is Scope.ALL or tenant_id == caller.principal.tenant_id)


async def require_reader(connection: Connection, caller: Caller, identifier: str) -> int | None:
    """The project's tenant. Raises a 404 for a caller who doesn't see the project."""
    seen = await connection.execute(SEES[scope(caller)], {"identifier": identifier, **parameters(caller)})
    if (row := seen.one_or_none()) is None:
        raise not_found(NO_PROJECT)
    tenant: int | None = row.tenant_id
    return tenant


async def require_writer(caller: Caller, identifier: str) -> None:
    """Raises a 403 for a caller who only reads, a 404 for one of these who doesn't see the project.

    Whether the project is theirs to change is asked of its row, once that is read: :func:`require_change`.
    """
    if may_write(caller):
        return
    async with caller.reading() as connection:
        await require_reader(connection, caller, identifier)
    raise readers_only()


def require_change(caller: Caller, tenant_id: int | None) -> None:
    """Raises a 403 for a caller who sees the project of that tenant, and may not change it."""
    if not may_change(caller, tenant_id):
        raise forbidden("Only administrators of UCA may change a project without a tenant.")


def readers_only() -> Problem:
    """The 403 of a caller who only reads."""
    return forbidden("Only administrators may change projects.")
