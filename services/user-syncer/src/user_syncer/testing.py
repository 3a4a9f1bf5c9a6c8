"""user-syncer in a test: replicas that keep their messages instead of sending them, and projects to give them."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any

import uuid_utils
from backbone.context import Context
from backbone.database import Database
from backbone.envelope import Message, seal, unpack
from backbone.handlers import CallingOut, Work
from backbone.leases import LeaseKeeper
from backbone.shares import Shares
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from clouds.vault import Vault, load_keys
from contracts.events import RECORDED, Event, LinkEnsured, Participant, ProjectCreated, RunRequested

from user_syncer.capacity import Capacity
from user_syncer.handlers import HANDLERS
from user_syncer.planner import Planner
from user_syncer.settings import Settings
from user_syncer.sweeping import Sweep
from user_syncer.syncing import Syncer
from user_syncer.tickets import ChunkPlanned

SEALING_KEYS = "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY="
_KNOWN: tuple[type[Event], ...] = (*RECORDED, ChunkPlanned)
TYPES: dict[str, type[Any]] = {event.__name__: event for event in _KNOWN}
_IDENTIFIERS = (f"P{number}" for number in count(1))


def people(number: int, *, first: int = 1, role: str = "member") -> tuple[Participant, ...]:
    """Participants with ids from ``first`` on."""
    return tuple(
        Participant(user_id=user_id, email=f"User{user_id}@example.org", name=f"User {user_id}", role=role)
        for user_id in range(first, first + number)
    )


@dataclass
class Replica:
    """One process of user-syncer, its messages kept instead of sent."""

    database: Database
    clouds: Clouds
    settings: Settings
    sent: list[Message] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.database.on_commit = self.sent.extend
        given = self.settings.sealing_keys
        self.vault = Vault(load_keys({"SEALING_KEYS": given.get_secret_value() if given else SEALING_KEYS}))
        leases = LeaseKeeper(self.database, "chunks", "id", self.settings.lease_seconds)
        self.capacity = Capacity(self.settings.cloud.in_flight_here, patience=self.settings.patience)
        self.syncer = Syncer(self.database, self.clouds, self.vault, leases, self.capacity, self.settings)
        readings = Shares(self.settings.reading_places, self.settings.standing)
        self.planner = Planner(self.database, self.clouds, self.syncer, readings, self.settings.chunk_size)
        self.sweep = Sweep(self.database, self.clouds, self.settings)

    def fill(self) -> None:
        """Leaves no room for anybody, so that plans take no chunk of their own, until :meth:`empty`."""
        self._set_full(0)

    def empty(self) -> None:
        """There is room again."""
        self._set_full(self.settings.cloud.in_flight_here)

    def _set_full(self, users: int) -> None:
        self.capacity._full = users

    @property
    def events(self) -> list[Any]:
        """Everything told so far, tickets left out."""
        return [event for event in map_events(self.sent) if not isinstance(event, ChunkPlanned)]

    def told(self, kind: type[Event]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if isinstance(event, kind)]

    def tickets(self) -> list[Message]:
        """Takes out the tickets sent so far, those that would come later too."""
        found = [message for message in self.sent if isinstance(next(map_events([message])), ChunkPlanned)]
        for message in found:
            self.sent.remove(message)
        return found

    async def hear(self, event: Event, *, message_id: str | None = None, attempt: int = 1) -> None:
        """What the consumer does with a delivery, without its answer to errors."""
        handler = HANDLERS[type(event)]
        if isinstance(handler, CallingOut):
            work = Work(self.database, message_id or str(uuid_utils.uuid7()), attempt=attempt)
            own = {"sync_chunk": {"syncer": self.syncer}}.get(handler.call.__name__, {"planner": self.planner})
            await handler.call(event, work=work, **own)
        else:
            async with self.database.transaction() as tx:
                envelope = seal(event, source="test", time=await tx.time(), context=Context())
                tx.emit(*(await handler.call([envelope], tx=tx) or ()))

    async def work_off(self) -> None:
        """Hears tickets until there are none; time flies for what waits."""
        while tickets := self.tickets():
            await self.run("UPDATE chunks SET not_before = now() - interval '1 ms'")
            for event in map_events(tickets):
                await self.hear(event)

    async def run(self, statement: str, **parameters: Any) -> Any:
        """One statement; its rows, where it has any."""
        async with self.database.transaction() as tx:
            return (await tx.execute(statement, parameters)).all()

    async def members(self, identifier: str) -> dict[int, Any]:
        """Published rows by user id."""
        rows = await self.run("SELECT * FROM members WHERE identifier = :identifier", identifier=identifier)
        return {row.user_id: row for row in rows}


def map_events(messages: Iterable[Message]) -> Iterator[Any]:
    """The events in messages."""
    return (each.data for message in messages for each in unpack(message.body, message.content_type, TYPES))


@dataclass
class Project:
    """One project: its commands, and a link on the cloud."""

    replica: Replica
    identifier: str
    provider_project_id: str
    tenant_id: int | None = 5

    def command(self, kind: type[RunRequested] = ProjectCreated, run: int = 1, users: int = 2, **fields: Any) -> Any:
        """A command of project-api; its deadline is a day ahead unless told otherwise."""
        now = datetime.now(UTC)
        known = {"name": "Shop", "tenant_id": self.tenant_id, "provider": "zadara", "region": "here"}
        times = {"requested_at": now, "deadline_at": now + timedelta(days=1)}
        who = {"identifier": self.identifier, "run": run, "participants": people(users)}
        return kind.model_validate({**known, **times, **who, **fields})

    def linked(self, run: int = 1) -> LinkEnsured:
        """What link-provisioner says."""
        return LinkEnsured(
            identifier=self.identifier,
            run=run,
            provider="zadara",
            region="here",
            provider_project_id=self.provider_project_id,
            outcome="created",
        )

    async def start(self, kind: type[RunRequested] = ProjectCreated, run: int = 1, users: int = 2, **more: Any) -> None:
        """A run up to the end of its plan, and of the chunk that is taken with it."""
        await self.replica.hear(self.command(kind, run, users, **more))
        await self.replica.hear(self.linked(run))

    async def plan_only(
        self, kind: type[RunRequested] = ProjectCreated, run: int = 1, users: int = 2, **more: Any
    ) -> None:
        """A plan while there is no room: every chunk waits for its ticket."""
        self.replica.fill()
        await self.start(kind, run, users, **more)
        self.replica.empty()

    async def provision(
        self, kind: type[RunRequested] = ProjectCreated, run: int = 1, users: int = 2, **more: Any
    ) -> None:
        """A whole run."""
        await self.start(kind, run, users, **more)
        await self.replica.work_off()


async def linked_project(replica: Replica, tenant_id: int | None = 5) -> Project:
    """A project whose link is on the cloud, as link-provisioner leaves it."""
    identifier = next(_IDENTIFIERS)
    made = await replica.clouds.open("here").ensure_project(ProjectSpec(identifier, "Shop"))
    return Project(replica, identifier, made.id, tenant_id)
