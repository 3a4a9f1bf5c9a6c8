"""The cache of the directory, on the real database and across replicas."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest
from backbone.away import DatabaseUnavailable
from backbone.database import Database
from backbone.testing import statements_of
from project_api.directory import people as directories
from project_api.directory import tenants, users
from project_api.directory.people import (
    ADMINS,
    BY_ID,
    SECONDS,
    VERSIONS,
    Directory,
    Tenant,
    UnknownTenant,
    lists_of,
    tenant_list,
)
from project_api.parts import Parts
from project_api.settings import Settings


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
async def database(settings: Settings) -> AsyncIterator[Database]:
    """The directory's own connection, as a replica has it."""
    url = settings.database_url.get_secret_value()
    opened = Database(url, schema="project_api", source="project-api", pool_size=1)
    yield opened
    await opened.close()


@pytest.fixture
def clock() -> Clock:
    """At some time."""
    return Clock()


@pytest.fixture
def directory(database: Database, clock: Clock) -> Directory:
    """Empty as after a start."""
    return Directory(database, clock=clock)


@pytest.fixture
def statements(database: Database) -> Iterator[list[str]]:
    """What the directory asks the database from now on."""
    with statements_of(database) as seen:
        yield seen


@pytest.fixture
async def tenant(parts: Parts, request: pytest.FixtureRequest) -> Tenant:
    """A tenant of this test's own, with one user."""
    async with parts.database.transaction() as tx:
        made = await tenants.create(tx, f"Tenant of {request.node.name}")
        await users.create(tx, "One", f"one@{made.id}.test", "member", made.id)
    return made


async def found(parts: Parts, names: list[str]) -> dict[str, int]:
    """The versions as a project's own statement reads them."""
    row = await parts.database.execute(f"SELECT {VERSIONS}::text", {"directory_names": names})
    return dict(json.loads(row.scalar_one()))


async def test_many_askers_cost_one_load(directory: Directory, tenant: Tenant, statements: list[str]) -> None:
    """Fifty at once and one more later: one statement for the admins and one for the tenant."""
    answers = await asyncio.gather(*(directory.people(tenant.id) for _ in range(50)))
    assert await directory.people(tenant.id) == answers[0]
    assert len(statements) == 2
    assert [user.name for user in answers[0].tenant_users] == ["One"]


async def test_an_entry_lives_its_time(
    directory: Directory, tenant: Tenant, statements: list[str], clock: Clock
) -> None:
    """300 s, whatever happens to its version."""
    await directory.people(tenant.id)
    clock.now += SECONDS
    await directory.people(tenant.id)
    assert len(statements) == 2
    clock.now += 1
    await directory.people(tenant.id)
    assert len(statements) == 4


@pytest.mark.parametrize("change", ["create", "rename", "demote", "move", "remove"])
async def test_a_change_on_any_replica_is_seen(directory: Directory, parts: Parts, tenant: Tenant, change: str) -> None:
    """The versions that a statement reads no longer match, and people no older than those are up to date."""
    async with parts.database.transaction() as tx:
        user = await users.create(tx, "Two", f"two@{tenant.id}.test", "admin", tenant.id)
        other = await tenants.create(tx, f"Another than {tenant.name}")
    known = await directory.people(tenant.id)
    assert known.is_current(await found(parts, known.names))
    changes: dict[str, Callable[[Any], Awaitable[Any]]] = {
        "create": lambda tx: users.create(tx, "Three", f"three@{tenant.id}.test", "member", tenant.id),
        "rename": lambda tx: users.change(tx, user.id, {"name": "Too"}),
        "demote": lambda tx: users.change(tx, user.id, {"role": "member"}),
        "move": lambda tx: users.change(tx, user.id, {"tenant_id": other.id}),
        "remove": lambda tx: users.remove(tx, user.id),
    }
    async with parts.database.transaction() as tx:
        await users.create(tx, "Spare", f"spare@{tenant.id}.test", "admin", None)
        await changes[change](tx)
    versions = await found(parts, known.names)
    assert not known.is_current(versions)
    renewed = await directory.people(tenant.id, at_least=versions)
    assert renewed.is_current(versions)
    names = {
        "create": ["One", "Two", "Three"],
        "rename": ["One", "Too"],
        "demote": ["One", "Two"],
        "move": ["One"],
        "remove": ["One"],
    }[change]
    assert [each.name for each in renewed.tenant_users] == names
    assert (user.id in [each.id for each in renewed.admins]) == (change in ("create", "rename", "move"))


async def test_a_stale_list_is_loaded_once_for_all(
    directory: Directory, parts: Parts, tenant: Tenant, statements: list[str]
) -> None:
    """Fifty projects that find the same mismatch at once share one load."""
    known = await directory.people(tenant.id)
    async with parts.database.transaction() as tx:
        await users.create(tx, "Two", f"two@{tenant.id}.test", "member", tenant.id)
    versions = await found(parts, known.names)
    statements.clear()
    answers = await asyncio.gather(*(directory.people(tenant.id, at_least=versions) for _ in range(50)))
    assert {len(each.tenant_users) for each in answers} == {2}
    assert len(statements) == 1


async def test_chosen_users_are_found_by_id(
    directory: Directory, parts: Parts, tenant: Tenant, statements: list[str]
) -> None:
    """Of any tenant, once loaded without a statement; unknown ids are named."""
    [one] = (await directory.people(tenant.id)).tenant_users
    statements.clear()
    for _ in range(2):
        people = await directory.people(None, [one.id])
        assert people.chosen == {one.id: one}
    assert len(statements) == 1
    assert (await directory.people(None, [one.id, 10**12])).unknown == (10**12,)
    async with parts.database.transaction() as tx:
        await users.change(tx, one.id, {"email": f"first@{tenant.id}.test"})
    assert not people.is_current(await found(parts, people.names))
    people = await directory.people(None, [one.id], await found(parts, people.names))
    assert people.chosen[one.id].email == f"first@{tenant.id}.test"


async def test_an_unknown_tenant_is_told(directory: Directory, parts: Parts, tenant: Tenant) -> None:
    """Whether it never was, or was removed after it was cached."""
    with pytest.raises(UnknownTenant):
        await directory.people(10**12)
    known = await directory.people(tenant.id)
    async with parts.database.transaction() as tx:
        await users.remove(tx, known.tenant_users[0].id)
        await tenants.remove(tx, tenant.id)
    versions = await found(parts, known.names)
    assert not known.is_current(versions)
    with pytest.raises(UnknownTenant):
        await directory.people(tenant.id, at_least=versions)


async def test_a_load_that_hangs_ends_in_time(database: Database, tenant: Tenant) -> None:
    """A frozen database is unavailable for everybody who waits, and not one after the other."""
    directory = Directory(database, timeout=0.2)
    async with database.reading():  # the directory's one connection is taken, as by a statement that hangs
        answers = await asyncio.gather(*(directory.people(tenant.id) for _ in range(5)), return_exceptions=True)
    assert all(isinstance(each, DatabaseUnavailable) for each in answers)
    assert (await directory.people(tenant.id)).tenant == tenant


def test_a_change_touches_the_lists_of_before_and_after() -> None:
    """So that nobody stays in a list that they have left."""
    before = directories.User(1, "A", "a@uca.test", "admin", 5)
    after = directories.User(1, "A", "a@uca.test", "member", 6)
    assert set(lists_of(before, after)) == {ADMINS, BY_ID, tenant_list(5), tenant_list(6)}
    assert lists_of(directories.User(2, "B", "b@uca.test", "member", None), None) == [BY_ID]


async def test_the_database_hides_other_tenants(parts: Parts, tenant: Tenant) -> None:
    """Whatever a statement asks for: forced row-level security is behind every WHERE."""
    async with parts.tenant_database.transaction() as tx:
        await tx.execute("SELECT set_config('uca.tenant', :tenant, true)", {"tenant": str(tenant.id)})
        seen = (await tx.execute("SELECT DISTINCT tenant_id FROM users")).scalars().all()
        ids = (await tx.execute("SELECT id FROM tenants")).scalars().all()
    assert (seen, ids) == ([tenant.id], [tenant.id])
    async with parts.tenant_database.transaction() as tx:
        assert (await tx.execute("SELECT count(*) FROM users")).scalar_one() == 0
