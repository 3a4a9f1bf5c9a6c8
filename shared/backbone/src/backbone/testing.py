"""For tests on the real parts: a database of one's own, and a place for a made-up service on database and broker."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, ClassVar
from unittest.mock import patch
from urllib.parse import quote, urlsplit

import asyncpg
import httpx
from pydantic import BaseModel, ConfigDict

from backbone import migrations, parked, topology
from backbone.broker import Publisher
from backbone.consumer import Consumer
from backbone.database import Database
from backbone.deliveries import OnDelivery
from backbone.envelope import Upcast
from backbone.handlers import Handlers
from backbone.outbox import Relay
from backbone.subscription import Subscription


@asynccontextmanager
async def fresh_database(owner_url: str) -> AsyncIterator[str]:
    """The owner's URL of an empty database, which is dropped at the end."""
    name = f"test_{secrets.token_hex(6)}"
    owner = await asyncpg.connect(owner_url)
    try:
        await owner.execute(f"CREATE DATABASE {name}")
        yield urlsplit(owner_url)._replace(path=f"/{name}").geturl()
    finally:
        await owner.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        await owner.close()


@asynccontextmanager
async def service_database(
    owner_url: str, package: str, *, role: str, readers: Sequence[str] = (), others: Sequence[str] = ()
) -> AsyncIterator[Database]:
    """A fresh database with the package's schema at its newest revision, opened as ``role``.

    ``readers`` are the roles that the migrations publish to; ``others`` are statements that make what these migrations
    ask for of other services. Passwords are left alone: roles are the whole server's, and a stack beside these tests
    may use them.
    """
    async with fresh_database(owner_url) as url:
        owner = await asyncpg.connect(url)
        try:
            for each in (role, *readers):
                # Somebody else's tests may make the same role at this moment.
                with suppress(asyncpg.DuplicateObjectError, asyncpg.UniqueViolationError):
                    await owner.execute(f"CREATE ROLE {each} LOGIN")
                await owner.execute(f"GRANT {each} TO CURRENT_USER")
            await owner.execute(f"CREATE SCHEMA {package}; GRANT USAGE ON SCHEMA {package} TO {role}")
            for kind, rights in (("TABLES", "SELECT, INSERT, UPDATE, DELETE"), ("SEQUENCES", "USAGE, SELECT")):
                await owner.execute(f"ALTER DEFAULT PRIVILEGES IN SCHEMA {package} GRANT {rights} ON {kind} TO {role}")
            for statement in others:
                await owner.execute(statement)
            await asyncio.to_thread(migrations.upgrade, package, url)
            # From here on the owner's own connections to this database begin with the service's rights.
            database = await owner.fetchval("SELECT current_database()")
            await owner.execute(f"ALTER ROLE CURRENT_USER IN DATABASE {database} SET role = '{role}'")
        finally:
            await owner.close()
        opened = Database(url, schema=package, source=package.replace("_", "-"))
        try:
            yield opened
        finally:
            await opened.close()


class Happened(BaseModel):
    """A made-up event."""

    model_config = ConfigDict(frozen=True)
    version: ClassVar[int] = 1
    upcasts: ClassVar[Mapping[int, Upcast]] = {}
    routing_key: ClassVar[str] = "thing.happened"

    identifier: str
    run: int = 1


class Answered(Happened):
    """Another one, for handlers to answer with."""

    routing_key = "thing.answered"

    words: str


class Seen:
    """What handlers were given, in order, to be awaited."""

    def __init__(self) -> None:
        self._notes: asyncio.Queue[Any] = asyncio.Queue()

    def note(self, what: Any) -> None:
        """Keeps it for :meth:`next`."""
        self._notes.put_nowait(what)

    async def next(self) -> Any:
        """The next note; raises TimeoutError after half a minute without one."""
        return await asyncio.wait_for(self._notes.get(), 30)

    def is_empty(self) -> bool:
        """Whether nothing more was noted."""
        return self._notes.empty()


@dataclass(frozen=True)
class Replica:
    """The parts of a running replica that tests look at."""

    publisher: Publisher
    subscription: Subscription
    consumer: Consumer


@dataclass(frozen=True)
class Rig:
    """A made-up service's place on the real database and broker, with a service's rights on the broker.

    Its name is its virtual host's and its user's too. Retry delays are a fiftieth of the usual ones.
    """

    name: str
    amqp_url: str
    database: Database
    api: httpx.AsyncClient
    RETRY_SCALE: ClassVar[float] = 0.02
    _password_hash: str = field(default_factory=lambda: topology.password_hash("rig"), repr=False)

    async def define(self) -> None:
        """Imports exchanges, queues, policies and rights; what is there stays."""
        definitions = topology.definitions(
            {self.name: ("thing.*",)},
            {self.name: ("thing.*", "unheard.*", "dead-letters.*")},
            {self.name: self._password_hash},
            vhost=self.name,
            retry_scale=self.RETRY_SCALE,
        )
        (await self.api.post("/definitions", json=definitions)).raise_for_status()

    async def delete_queue(self, queue: str) -> None:
        """What no service may do, but a person can."""
        (await self.api.delete(f"/queues/{self.name}/{queue}")).raise_for_status()

    async def close_connections(self) -> int:
        """Has the broker close every connection of the service; how many there were."""
        async with asyncio.timeout(30):
            while len(found := await self._connections()) < 2:  # noqa: ASYNC110 - the broker lists them a little later
                await asyncio.sleep(0.1)
        for name in found:
            (await self.api.delete(f"/connections/{quote(name, safe='')}")).raise_for_status()
        return len(found)

    async def _connections(self) -> list[str]:
        answer = await self.api.get(f"/vhosts/{self.name}/connections")
        return [each["name"] for each in answer.raise_for_status().json()]

    async def rows(self, statement: str, **parameters: Any) -> Sequence[Any]:
        """The rows of one SELECT."""
        return (await self.database.execute(statement, parameters)).all()

    async def until(self, statement: str, **parameters: Any) -> Any:
        """The first row, as soon as there is one; raises TimeoutError after half a minute."""
        async with asyncio.timeout(30):
            while not (rows := await self.rows(statement, **parameters)):  # noqa: ASYNC110 - another session's commit
                await asyncio.sleep(0.02)
        return rows[0]

    async def emit(self, *events: Any) -> None:
        """Commits events to the outbox, in one transaction."""
        async with self.database.transaction() as tx:
            tx.emit(*events)

    @asynccontextmanager
    async def running(self, handlers: Handlers, **dependencies: Any) -> AsyncIterator[Replica]:
        """One replica of the service, until the end of the block."""
        publisher = Publisher(self.amqp_url, name=self.name)
        relay = Relay(self.database, publisher, poll=0.05)
        self.database.on_commit = relay.offer
        consumer = Consumer(
            self.name, handlers, self.database, publisher, dependencies=dependencies, retry_scale=self.RETRY_SCALE
        )
        own = topology.names(self.name)
        queues: dict[str, OnDelivery] = {own.work: consumer.receive, own.parked: parked.Drain(self.database).receive}
        subscription = Subscription(self.amqp_url, name=self.name, queues=queues, prefetch=50)
        runs = (consumer.run, relay.run_express, relay.run_marks, relay.run_sweep, subscription.run)
        tasks = [asyncio.create_task(run()) for run in runs]
        try:
            await asyncio.wait_for(subscription.consuming.wait(), 30)
            yield Replica(publisher, subscription, consumer)
            await asyncio.wait_for(consumer.drained(), 30)
            await relay.drain()
        finally:
            self.database.on_commit = None
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await publisher.close()


@asynccontextmanager
async def service_rig(owner_url: str, amqp_url: str, api_url: str) -> AsyncIterator[Rig]:
    """A rig of one's own; nothing of it is left at the end."""
    name = f"rig-{secrets.token_hex(4)}"
    parts = urlsplit(amqp_url)
    address = parts.netloc.rpartition("@")[2]
    own_amqp_url = parts._replace(netloc=f"{name}:rig@{address}", path=f"/{quote(name)}").geturl()
    async with fresh_database(owner_url) as url, httpx.AsyncClient(base_url=f"{api_url}/api", timeout=30) as api:
        database = Database(url, schema="public", source=name)
        async with database.transaction() as tx:
            for statement in migrations.BACKBONE:
                await tx.execute(statement)
        rig = Rig(name, own_amqp_url, database, api)
        await rig.define()
        try:
            yield rig
        finally:
            await database.close()
            await api.delete(f"/vhosts/{name}")
            await api.delete(f"/users/{name}")


LOCK_WAITS = (
    "SELECT locktype FROM pg_locks JOIN pg_stat_activity USING (pid) WHERE datname = current_database() AND NOT granted"
)
"""Who waits for a lock in this database, so that a test knows that the other side has come as far."""

DRIVERS_OWN = ("BEGIN", "COMMIT", "ROLLBACK", "typeinfo_tree", "current_setting('jit')")
"""Words of what the driver sends of itself: around a transaction, and once on each connection to learn of types."""


@contextmanager
def statements_of(*databases: Database) -> Iterator[list[str]]:
    """Every statement that these send meanwhile, without the driver's own."""
    seen: list[str] = []

    def note(record: Any) -> None:
        if not any(words in record.query for words in DRIVERS_OWN):
            seen.append(record.query)

    with ExitStack() as stack:
        for database in databases:
            stack.enter_context(patch.object(database, "_connection", _logged(database._connection, note)))
        yield seen


def _logged(connect: Callable[[], Any], note: Callable[[Any], None]) -> Callable[[], Any]:
    @asynccontextmanager
    async def connection() -> AsyncIterator[Any]:
        async with connect() as driver:
            with driver.query_logger(note):
                yield driver
                await asyncio.sleep(0)  # the driver tells of a statement one turn of the loop later

    return connection
