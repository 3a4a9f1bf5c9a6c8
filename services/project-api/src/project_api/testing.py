"""For tests: a directory of tenants and users, and the read model as status-projector would fill it."""

import asyncio
import itertools
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from backbone.statements import Row
from backbone.testing import statements_of
from contracts.events import StatusChanged
from contracts.status import Kind, Picture, Progress, Status, StepStatus, opening_picture

from project_api.parts import Parts

Headers = dict[str, str]
_numbers = itertools.count(1000)


@dataclass(frozen=True)
class Tenant:
    """A tenant with one tenant_admin and members; ids only."""

    id: int
    tenant_admin: int
    members: tuple[int, ...]


@dataclass
class World:
    """Speaks with the application as an admin, and plays the services behind it. ``projector`` is a connection with
    status-projector's rights, ``owner`` one with the owner's."""

    client: httpx.AsyncClient
    parts: Parts
    bearer: Callable[..., Headers]
    projector: Any
    admin_id: int = 1
    admin: Headers = field(default_factory=dict)

    async def begin(self) -> None:
        """Makes the administrator who asks for everything."""
        await self._run(
            "INSERT INTO users (id, name, email, role) VALUES (900001, 'Ada Admin', 'ada@uca.test', 'admin')"
            " ON CONFLICT DO NOTHING"
        )
        await self._run("UPDATE directory_versions SET version = version + 1 WHERE name IN ('admin_users', 'users')")
        self.admin_id = 900001
        self.admin = self.bearer("admin", self.admin_id)

    async def tenant(self, members: int = 2) -> Tenant:
        """A new tenant."""
        number = next(_numbers)
        first = 10_000_000 + number * 10_000
        await self._run("INSERT INTO tenants (id, name) VALUES ($1, $2)", number, f"Tenant {number}")
        await self._run("INSERT INTO directory_versions (name) VALUES ($1)", f"tenant_users_{number}")
        await self._run(
            "INSERT INTO users (id, name, email, role, tenant_id) SELECT $1 + n, 'User ' || n, 'u' || ($1 + n)"
            " || '@uca.test', CASE n WHEN 0 THEN 'tenant_admin' ELSE 'member' END, $2 FROM generate_series(0, $3) AS n",
            first,
            number,
            members,
        )
        return Tenant(number, first, tuple(range(first + 1, first + 1 + members)))

    def tenant_admin(self, tenant: Tenant) -> Headers:
        """The header of the tenant's admin."""
        return self.bearer("tenant_admin", tenant.tenant_admin, tenant.id)

    def member(self, tenant: Tenant, number: int = 0) -> Headers:
        """The header of one of the tenant's members."""
        return self.bearer("member", tenant.members[number], tenant.id)

    async def create(self, tenant: Tenant | None = None, **fields: Any) -> str:
        """A new project's identifier."""
        body = {"name": f"Project {next(_numbers)}", "region": "region-1", **fields}
        if tenant is not None:
            body["tenant_id"] = tenant.id
        answer = await self.client.post("/admin/v1/projects", json=body, headers=self.admin)
        assert answer.status_code == 201, answer.text  # noqa: S101 - a test's own
        return str(answer.json()["identifier"])

    async def get(self, path: str, headers: Headers | None = None, if_none_match: str | None = None) -> httpx.Response:
        """GET below /admin/v1/projects, as the admin unless somebody else is named."""
        known = {"If-None-Match": if_none_match} if if_none_match else {}
        return await self.client.get(f"/admin/v1/projects{path}", headers={**(headers or self.admin), **known})

    async def post(self, path: str, headers: Headers | None = None, **more: Any) -> httpx.Response:
        """POST below /admin/v1/projects."""
        return await self.client.post(f"/admin/v1/projects{path}", headers=headers or self.admin, **more)

    async def status(self, identifier: str) -> dict[str, Any]:
        """The project's status."""
        answer = await self.get(f"/{identifier}/status")
        assert answer.status_code == 200, answer.text  # noqa: S101 - a test's own
        found: dict[str, Any] = answer.json()
        return found

    async def fold(self, identifier: str, shown: Picture, *, version: int = 2) -> None:
        """Puts a picture of the latest run into the read model."""
        row = (
            await self._run("SELECT run, tenant_id, provider, region FROM projects WHERE identifier = $1", identifier)
        )[0]
        await self.projector.execute(
            "INSERT INTO status_projector.project_status AS s (identifier, tenant_id, provider, region, run, version,"
            " status, kind, finished, picture, updated_at) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, now())"
            " ON CONFLICT (identifier) DO UPDATE SET run = excluded.run, version = excluded.version,"
            " status = excluded.status, kind = excluded.kind, finished = excluded.finished, picture = excluded.picture,"
            " updated_at = excluded.updated_at",
            identifier,
            row.tenant_id,
            row.provider,
            row.region,
            row.run,
            version,
            shown.status,
            shown.kind,
            shown.completed_at is not None,
            shown.model_dump_json(),
        )

    async def finish(self, identifier: str, status: Status = Status.ACTIVE, kind: Kind = Kind.PROVISION) -> None:
        """Ends the latest run."""
        await self.fold(identifier, ended(status, kind), version=9)

    async def user_fact(self, identifier: str, user_id: int, status: str, *, run: int = 1) -> None:
        """What the read model says of one user."""
        await self.projector.execute(
            "INSERT INTO status_projector.user_status (identifier, user_id, run, status, updated_at, event_id)"
            " VALUES ($1, $2, $3, $4, now(), gen_random_uuid()) ON CONFLICT (identifier, user_id)"
            " DO UPDATE SET run = excluded.run, status = excluded.status",
            identifier,
            user_id,
            run,
            status,
        )

    async def waiter(self) -> str:
        """The project that somebody waits for, once there is one."""
        watches = self.parts.changes._watches
        while not watches:  # noqa: ASYNC110 - what is waited for is a request that has come far enough
            await asyncio.sleep(0.001)
        return next(iter(watches))

    def tell(self, identifier: str) -> None:
        """News of a project, as the broker's delivery would bring it."""
        news = StatusChanged(identifier=identifier, run=1, read_version=2, tenant_id=None, picture="{}")
        self.parts.changes.tell(news, datetime.now(UTC))

    async def outbox(self, identifier: str) -> list[dict[str, Any]]:
        """The events of a project that are to leave, oldest first."""
        rows = await self._run("SELECT body FROM outbox ORDER BY created_at, id")
        bodies = [json.loads(row.body) for row in rows]
        events = [each for body in bodies for each in (body if isinstance(body, list) else [body])]
        return [each for each in events if each["subject"] == identifier]

    async def rows(self, statement: str, *values: object) -> Sequence[Any]:
        """What project-api's own tables say."""
        return await self._run(statement, *values)

    async def _run(self, statement: str, *values: object) -> Sequence[Any]:
        async with self.parts.database.transaction() as tx:
            rows: Sequence[Any] = await tx.driver.fetch(statement, *values, record_class=Row)
            return rows

    @contextmanager
    def statements(self) -> Iterator[list[str]]:
        """Every statement that the application sends meanwhile, on any of its connections; no BEGIN and COMMIT."""
        with statements_of(self.parts.database, self.parts.tenant_database) as seen:
            yield seen


REQUESTED = datetime(2026, 1, 1, 10, tzinfo=UTC)


def going(link: StepStatus, users: StepStatus, *, done: int = 9) -> Picture:
    """A run that goes on, with these words for its first two steps."""
    opening = opening_picture(Kind.PROVISION, 21, REQUESTED)
    words = (link, users, StepStatus.NOT_STARTED)
    steps = tuple(each.model_copy(update={"status": word}) for each, word in zip(opening.steps, words, strict=True))
    progress = Progress(percent=39, completed=done, total=23, message="Syncing users (8 of 21)…")
    return opening.model_copy(update={"steps": steps, "progress": progress})


def ended(status: Status, kind: Kind = Kind.PROVISION) -> Picture:
    """A run that has ended so."""
    opening = opening_picture(kind, 21, REQUESTED)
    word = StepStatus.COMPLETED if status is Status.ACTIVE else StepStatus.FAILED
    steps = tuple(each.model_copy(update={"status": word}) for each in opening.steps)
    percent = 100 if status is Status.ACTIVE else 39
    progress = Progress(percent=percent, completed=23, total=23, message="Done.")
    completed = REQUESTED + timedelta(seconds=42)
    failed = {"error": "The link failed."} if status is Status.FAILED else {}
    return opening.model_copy(
        update={"status": status, "steps": steps, "progress": progress, "completed_at": completed, **failed}
    )


async def known_to_syncer(syncer: Any, identifier: str, tenant_id: int | None) -> None:
    """A run as user-syncer keeps it, so that what it publishes of the project's members is seen."""
    await syncer.execute(
        "INSERT INTO runs (identifier, run, kind, name, tenant_id, provider, region, participants, removed, redo,"
        " deadline_at) VALUES ($1, 1, 'provision', 'x', $2, 'zadara', 'region-1', '[]', '[]', '{}', now())",
        identifier,
        tenant_id,
    )
