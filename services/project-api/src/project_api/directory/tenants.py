"""Tenants: their rows, and the version rows that their existence is known by."""

from typing import Any

import asyncpg
from backbone.database import Connection, Transaction

from project_api.directory.models import TenantQuery
from project_api.directory.people import LOCK, RAISE, Tenant, tenant_list
from project_api.web.errors import Problem, invalid

FIND = "SELECT id, name FROM tenants WHERE id = :id"
NAMED = "SELECT id, name FROM tenants WHERE lower(name) = lower(:name)"
INSERT = "INSERT INTO tenants (name) VALUES (:name) ON CONFLICT (lower(name)) DO NOTHING RETURNING id, name"
FIRST_VERSION = "INSERT INTO directory_versions (name) VALUES (:name)"
RENAME = "UPDATE tenants SET name = :name, updated_at = now() WHERE id = :id RETURNING id, name"
HOLD = "SELECT FROM tenants WHERE id = :id FOR UPDATE"
USED = "SELECT EXISTS (SELECT FROM users WHERE tenant_id = :id) OR EXISTS (SELECT FROM projects WHERE tenant_id = :id)"
DELETE = "DELETE FROM tenants WHERE id = :id RETURNING id"
FORGET_VERSION = "DELETE FROM directory_versions WHERE name = :name"
LIST = "SELECT id, name FROM tenants WHERE name ILIKE :search ORDER BY lower(name), id LIMIT :limit OFFSET :offset"
COUNT = "SELECT count(*) FROM tenants WHERE name ILIKE :search"

TAKEN = "There is a tenant of that name already."


async def find(tx: Transaction, tenant_id: int) -> Tenant | None:
    """The tenant of that id."""
    return _one((await tx.execute(FIND, {"id": tenant_id})).one_or_none())


async def named(tx: Transaction, name: str) -> Tenant | None:
    """The tenant of that name, in any case."""
    return _one((await tx.execute(NAMED, {"name": name})).one_or_none())


async def create(tx: Transaction, name: str) -> Tenant:
    """Raises a 422 for a name that is taken."""
    tenant = _one((await tx.execute(INSERT, {"name": name})).one_or_none())
    if tenant is None:
        raise invalid("name", TAKEN)
    await tx.execute(FIRST_VERSION, {"name": tenant_list(tenant.id)})
    return tenant


async def rename(tx: Transaction, tenant_id: int, name: str) -> Tenant | None:
    """Raises a 422 for a name that is taken."""
    try:
        tenant = _one((await tx.execute(RENAME, {"id": tenant_id, "name": name})).one_or_none())
    except asyncpg.UniqueViolationError:
        raise invalid("name", TAKEN) from None
    if tenant:
        await tx.execute(RAISE, {"names": [tenant_list(tenant_id)]})
    return tenant


async def remove(tx: Transaction, tenant_id: int) -> bool:
    """Raises a 409 while the tenant has users or projects; False where there is no such tenant."""
    await tx.execute(LOCK)
    # Waits for a user who is being put into it, and the next statement sees them. A user's creation takes the tenant
    # before its version as well; in another order each would wait for the other.
    await tx.execute(HOLD, {"id": tenant_id})
    if (await tx.execute(USED, {"id": tenant_id})).scalar_one():
        raise Problem(409, "The tenant still has users or projects. Remove them first.")
    await tx.execute(FORGET_VERSION, {"name": tenant_list(tenant_id)})
    return (await tx.execute(DELETE, {"id": tenant_id})).one_or_none() is not None


async def search(connection: Connection, query: TenantQuery) -> tuple[list[Tenant], int]:
    """One page of the tenants whose names contain the words, by name; and how many there are in all."""
    wanted = {"search": f"%{escaped(query.search)}%"}
    rows = await connection.execute(LIST, {**wanted, **query.window})
    tenants = [Tenant(row.id, row.name) for row in rows.all()]
    return tenants, (await connection.execute(COUNT, wanted)).scalar_one()


def escaped(words: str) -> str:
    """The words as ILIKE takes them literally."""
    return words.replace("\\", r"\\").replace("%", r"\%").replace("_", r"\_")


def _one(row: Any) -> Tenant | None:
    return None if row is None else Tenant(row.id, row.name)
