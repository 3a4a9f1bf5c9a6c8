"""Users and tenants as a project needs them, cached: `admin_users`, `tenant_users_{id}`, and users by id.

An entry lives 300 s at the longest, and stale is never served: it carries the number of its version row, which every
change raises in its own transaction (``RAISE``) and which a project's own statement reads and compares. What stores
nothing, a preview or a refusal, asks for the versions first. Loads have a connection of their own, so that a
transaction may wait for one without ever waiting for itself.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from backbone.away import DatabaseUnavailable
from backbone.database import Database
from prometheus_client import Counter

LOOKUPS = Counter("uca_directory_lookups_total", "Looks into the cached directory", ("cache", "outcome"))

SECONDS = 300.0
CACHED_LISTS = 1000
CACHED_USERS = 20_000

ADMINS = "admin_users"
BY_ID = "users"

SHARED_LOCK = "pg_advisory_xact_lock_shared(hashtext('project_api.directory'))"
"""For a SELECT before the one that reads versions: until commit no user is removed or changed, so none is left behind
in a project that the removal could not see yet."""

LOCK = "SELECT pg_advisory_xact_lock(hashtext('project_api.directory'))"
"""The other side of :data:`SHARED_LOCK`: first in a transaction that removes or changes users."""

VERSIONS = "(SELECT jsonb_object_agg(name, version) FROM directory_versions WHERE name = ANY(:directory_names))"
"""For a project's own statement: the current versions, to be given to :meth:`People.is_current`."""

CURRENT = f"SELECT {VERSIONS}"
RAISE = (
    "UPDATE directory_versions SET version = version + 1 WHERE name IN"
    " (SELECT name FROM directory_versions WHERE name = ANY(:names) ORDER BY name FOR UPDATE)"
)
LOAD_ADMINS = (
    "SELECT v.version, NULL AS tenant, u.id, u.name, u.email, u.role, u.tenant_id FROM directory_versions v"
    " LEFT JOIN users u ON u.role = 'admin' WHERE v.name = :name ORDER BY u.id"
)
LOAD_TENANT = (
    "SELECT v.version, t.name AS tenant, u.id, u.name, u.email, u.role, u.tenant_id FROM directory_versions v"
    " JOIN tenants t ON t.id = :tenant LEFT JOIN users u ON u.tenant_id = t.id WHERE v.name = :name ORDER BY u.id"
)
LOAD_USERS = (
    "SELECT v.version, u.id, u.name, u.email, u.role, u.tenant_id FROM directory_versions v"
    " LEFT JOIN users u ON u.id = ANY(:ids) WHERE v.name = :name"
)


@dataclass(frozen=True, slots=True)
class User:
    """One user; ``role`` is admin, tenant_admin or member."""

    id: int
    name: str
    email: str
    role: str
    tenant_id: int | None


@dataclass(frozen=True, slots=True)
class Tenant:
    """One tenant."""

    id: int
    name: str


class UnknownTenant(Exception):
    """There is no such tenant."""


@dataclass(frozen=True, slots=True)
class People:
    """Whom a project may be for, as of ``versions``. ``unknown`` are the ids asked for that nobody has."""

    admins: tuple[User, ...]
    tenant: Tenant | None = None
    tenant_users: tuple[User, ...] = ()
    chosen: Mapping[int, User] = field(default_factory=dict)
    unknown: tuple[int, ...] = ()
    versions: Mapping[str, int] = field(default_factory=dict)

    @property
    def names(self) -> list[str]:
        """The parameter ``directory_names`` of :data:`VERSIONS`."""
        return list(self.versions)

    def is_current(self, found: Mapping[str, int] | None) -> bool:
        """Whether nothing has changed by what a statement has just read. A tenant without a version row is gone."""
        return found is not None and all(found.get(name, known + 1) <= known for name, known in self.versions.items())


@dataclass(frozen=True, slots=True)
class _List:
    version: int
    users: tuple[User, ...]
    tenant: Tenant | None
    until: float


class Directory:
    """The cache of one replica."""

    def __init__(
        self, database: Database, *, timeout: float = 3.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._timeout = timeout
        self._clock = clock
        self._loading = asyncio.Lock()
        self._lists: OrderedDict[str, _List] = OrderedDict()
        self._users: dict[int, User] = {}
        self._users_version = 0
        self._users_until = 0.0

    async def people(
        self, tenant_id: int | None = None, chosen: Collection[int] = (), at_least: Mapping[str, int] | None = None
    ) -> People:
        """Admins, the tenant's users, and the chosen ones by id, no older than the versions in ``at_least``.

        Raises :class:`UnknownTenant` and :class:`DatabaseUnavailable`.
        """
        wanted = at_least or {}
        admins = await self._list(ADMINS, None, wanted.get(ADMINS, 0))
        versions = {ADMINS: admins.version}
        own: _List | None = None
        if tenant_id is not None:
            name = tenant_list(tenant_id)
            if at_least is not None and name not in at_least:
                self._lists.pop(name, None)
                raise UnknownTenant(name)
            own = await self._list(name, tenant_id, wanted.get(name, 0))
            versions[name] = own.version
        found: Mapping[int, User] = {}
        if chosen:
            found, versions[BY_ID] = await self._by_id(chosen, wanted.get(BY_ID, 0))
        return People(
            admins=admins.users,
            tenant=own.tenant if own else None,
            tenant_users=own.users if own else (),
            chosen=found,
            unknown=tuple(each for each in dict.fromkeys(chosen) if each not in found),
            versions=versions,
        )

    async def versions(self, tenant_id: int | None) -> Mapping[str, int]:
        """What :meth:`people` of this tenant must not be older than to be current. Raises DatabaseUnavailable."""
        names = [ADMINS, BY_ID, *([] if tenant_id is None else [tenant_list(tenant_id)])]
        async with _Patience(self._timeout):
            ((versions,),) = await self._rows(CURRENT, {"directory_names": names})
        return dict(versions)

    async def _list(self, name: str, tenant_id: int | None, version: int) -> _List:
        if known := self._known(name, version):
            LOOKUPS.labels(_label(name), "hit").inc()
            return known
        async with _Patience(self._timeout), self._loading:
            # Who waited for the lock finds what its holder has loaded: no stampede.
            if known := self._known(name, version):
                LOOKUPS.labels(_label(name), "shared").inc()
                return known
            LOOKUPS.labels(_label(name), "stale" if name in self._lists else "miss").inc()
            return await self._load(name, tenant_id)

    def _known(self, name: str, version: int) -> _List | None:
        known = self._lists.get(name)
        if known is None or known.version < version or known.until < self._clock():
            return None
        self._lists.move_to_end(name)
        return known

    async def _load(self, name: str, tenant_id: int | None) -> _List:
        until = self._clock() + SECONDS
        statement = LOAD_ADMINS if tenant_id is None else LOAD_TENANT
        rows = await self._rows(statement, {"name": name} | ({} if tenant_id is None else {"tenant": tenant_id}))
        if not rows:
            self._lists.pop(name, None)
            raise UnknownTenant(name)
        tenant = None if tenant_id is None else Tenant(tenant_id, rows[0].tenant)
        loaded = _List(rows[0].version, tuple(user_of(row) for row in rows if row.id is not None), tenant, until)
        self._lists[name] = loaded
        if len(self._lists) > CACHED_LISTS:
            self._lists.popitem(last=False)
        return loaded

    async def _by_id(self, ids: Collection[int], version: int) -> tuple[Mapping[int, User], int]:
        if not (hit := self._has(ids, version)):
            async with _Patience(self._timeout), self._loading:
                if not self._has(ids, version):
                    await self._load_users(ids)
        LOOKUPS.labels(BY_ID, "hit" if hit else "miss").inc()
        return {each: self._users[each] for each in ids if each in self._users}, self._users_version

    def _has(self, ids: Iterable[int], version: int) -> bool:
        fresh = self._users_version >= version and self._clock() <= self._users_until
        return fresh and all(each in self._users for each in ids)

    async def _load_users(self, ids: Collection[int]) -> None:
        now = self._clock()
        rows = await self._rows(LOAD_USERS, {"name": BY_ID, "ids": list(ids)})
        if rows[0].version != self._users_version or now > self._users_until or len(self._users) > CACHED_USERS:
            self._users = {}
            self._users_version, self._users_until = rows[0].version, now + SECONDS
        self._users.update((row.id, user_of(row)) for row in rows if row.id is not None)

    async def _rows(self, statement: str, parameters: Mapping[str, Any]) -> list[Any]:
        return list((await self._database.execute(statement, parameters)).all())


class _Patience:
    """Bounds a wait for a load, behind others too; beyond it the database counts as away."""

    def __init__(self, seconds: float) -> None:
        self._timeout = asyncio.timeout(seconds)

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(self, *error: Any) -> None:
        try:
            await self._timeout.__aexit__(*error)
        except TimeoutError:
            raise DatabaseUnavailable("the directory could not be read in time") from None


def tenant_list(tenant_id: int) -> str:
    """The name of a tenant's cached list, and of its version row."""
    return f"tenant_users_{tenant_id}"


def lists_of(*users: User | None) -> list[str]:
    """The names whose versions a change of these users (as they were, as they are) must raise."""
    names = {BY_ID}
    for user in users:
        if user is not None:
            names |= {ADMINS} if user.role == "admin" else set()
            names |= {tenant_list(user.tenant_id)} if user.tenant_id is not None else set()
    return sorted(names)


def _label(name: str) -> str:
    return name if name == ADMINS else "tenant_users"


def user_of(row: Any) -> User:
    """A row with a user's columns."""
    return User(row.id, row.name, row.email, row.role, row.tenant_id)
