"""Users of the directory: every change raises the versions of the lists that it touches, in its own transaction."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import asyncpg
from backbone.database import Connection, Transaction
from backbone.statements import Result
from pydantic_core import to_json

from project_api.auth import refusals
from project_api.directory.models import UserQuery
from project_api.directory.people import LOCK, RAISE, User, lists_of, user_of
from project_api.directory.tenants import escaped
from project_api.web.errors import Problem, invalid
from project_api.web.paging import PageQuery

COLUMNS = "id, name, email, role, tenant_id"
FIND = f"SELECT {COLUMNS} FROM users WHERE id = :id"  # noqa: S608 - our own words
BY_EMAIL = f"SELECT {COLUMNS} FROM users WHERE lower(email) = lower(:email)"  # noqa: S608 - our own words
INSERT = (
    "INSERT INTO users (name, email, role, tenant_id) SELECT r.name, r.email, r.role, r.tenant_id"  # noqa: S608 - our own words
    " FROM jsonb_to_recordset(CAST(:rows AS jsonb)) AS r(name text, email text, role text, tenant_id bigint)"
    f" ON CONFLICT (lower(email)) DO NOTHING RETURNING {COLUMNS}"
)
UPDATE = (
    "UPDATE users SET name = :name, email = :email, role = :role, tenant_id = :tenant_id, updated_at = now()"  # noqa: S608 - our own words
    f" WHERE id = :id RETURNING {COLUMNS}"
)
DELETE = "DELETE FROM users WHERE id = :id"
OTHER_ADMINS = "SELECT EXISTS (SELECT FROM users WHERE role = 'admin' AND id <> :id)"
MATCHING = (
    "FROM users WHERE (CAST(:role AS text) IS NULL OR role = :role)"
    " AND (CAST(:tenant_id AS bigint) IS NULL OR tenant_id = :tenant_id)"
    " AND (name ILIKE :search OR email ILIKE :search)"
)
LIST = f"SELECT {COLUMNS} {MATCHING} ORDER BY id LIMIT :limit OFFSET :offset"
COUNT = f"SELECT count(*) {MATCHING}"
INTERNAL = "FROM users WHERE tenant_id IS NULL"
OF_TENANT = "FROM users WHERE tenant_id = :tenant_id"

TAKEN = "There is a user of that e-mail already."
NO_TENANT = "There is no such tenant."


async def find(tx: Transaction, user_id: int) -> User | None:
    """The user of that id."""
    return _one((await tx.execute(FIND, {"id": user_id})).one_or_none())


async def by_email(tx: Transaction, email: str) -> User | None:
    """The user of that e-mail, in any case."""
    return _one((await tx.execute(BY_EMAIL, {"email": email})).one_or_none())


async def create(tx: Transaction, name: str, email: str, role: str, tenant_id: int | None) -> User:
    """Raises a 422 for an e-mail that is taken, or an unknown tenant."""
    created = await create_many(tx, [{"name": name, "email": email, "role": role, "tenant_id": tenant_id}])
    if not created:
        raise invalid("email", TAKEN)
    return created[0]


async def create_many(tx: Transaction, rows: Sequence[Mapping[str, Any]]) -> list[User]:
    """Those who were not there yet, by e-mail. Raises a 422 for an unknown tenant."""
    try:
        created = _all(await tx.execute(INSERT, {"rows": to_json(rows).decode()}))
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _refusal(error) from error
    if created:
        await tx.execute(RAISE, {"names": lists_of(*created)})
    return sorted(created, key=lambda user: user.id)


async def change(tx: Transaction, user_id: int, changes: Mapping[str, Any]) -> tuple[User, User] | None:
    """The user as they were and as they are; None where there is no such user.

    Tokens from before a change of role or tenant are refused from then on. Raises a 422 for what cannot be, and a 409
    where no admin would be left.
    """
    await tx.execute(LOCK)
    before = await find(tx, user_id)
    if before is None:
        return None
    wanted = {name: changes.get(name, getattr(before, name)) for name in ("name", "email", "role", "tenant_id")}
    if wanted["role"] == "tenant_admin" and wanted["tenant_id"] is None:
        raise invalid("tenant_id", "A tenant_admin needs a tenant.")
    if before.role == "admin" != wanted["role"]:
        await _require_other_admin(tx, user_id)
    try:
        after = user_of((await tx.execute(UPDATE, {"id": user_id, **wanted})).one())
    except asyncpg.IntegrityConstraintViolationError as error:
        raise _refusal(error) from error
    called_back = (before.role, before.tenant_id) != (after.role, after.tenant_id)
    await _raise(tx, before, after, refused="changed" if called_back else None)
    return before, after


async def remove(tx: Transaction, user_id: int) -> User | None:
    """The user who was there; their tokens are refused from then on. Raises a 409 where no admin would be left."""
    await tx.execute(LOCK)
    before = await find(tx, user_id)
    if before is None:
        return None
    if before.role == "admin":
        await _require_other_admin(tx, user_id)
    await tx.execute(DELETE, {"id": user_id})
    await _raise(tx, before, None, refused="removed")
    return before


async def search(connection: Connection, query: UserQuery, tenant_id: int | None) -> tuple[list[User], int]:
    """One page of the users that match, of one tenant or of all, by id; and how many there are in all."""
    wanted = {"role": query.role, "tenant_id": tenant_id, "search": f"%{escaped(query.search)}%"}
    found = _all(await connection.execute(LIST, wanted | query.window))
    return found, (await connection.execute(COUNT, wanted)).scalar_one()


async def suggestions(connection: Connection, tenant_id: int | None, page: PageQuery) -> tuple[list[User], int]:
    """One page of the users of the tenant, or of none, by id; and how many there are in all."""
    among = INTERNAL if tenant_id is None else OF_TENANT
    of = {} if tenant_id is None else {"tenant_id": tenant_id}
    page_of = f"SELECT {COLUMNS} {among} ORDER BY id LIMIT :limit OFFSET :offset"
    rows = await connection.execute(page_of, {**of, **page.window})
    return _all(rows), (await connection.execute(f"SELECT count(*) {among}", of)).scalar_one()


async def _require_other_admin(tx: Transaction, user_id: int) -> None:
    if not (await tx.execute(OTHER_ADMINS, {"id": user_id})).scalar_one():
        raise Problem(409, "This is the last administrator. Appoint another one first.")


async def _raise(tx: Transaction, before: User, after: User | None, *, refused: str | None) -> None:
    names: Iterable[str] = lists_of(before, after)
    if refused:
        await tx.execute(refusals.REFUSE, {"user_id": before.id, "removed": refused == "removed"})
        names = [*names, refusals.NAME]
    await tx.execute(RAISE, {"names": list(names)})


def _refusal(error: Exception) -> Exception:
    if isinstance(error, asyncpg.UniqueViolationError):
        return invalid("email", TAKEN)
    if isinstance(error, asyncpg.ForeignKeyViolationError):
        return invalid("tenant_id", NO_TENANT)
    return error


def _one(row: Any) -> User | None:
    return None if row is None else user_of(row)


def _all(result: Result) -> list[User]:
    return [user_of(row) for row in result.all()]
