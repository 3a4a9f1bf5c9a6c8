"""The database: a pool that notices a dead server, and transactions that carry their own messages.

What a toolkit above the driver would add, this project does not use: statements are written by hand, known to the
letter.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, TypeVar

import asyncpg
import structlog
from pydantic_core import from_json

from backbone import outbox, statements
from backbone.away import OUTDATED, DatabaseUnavailable, is_away, telling_apart
from backbone.context import current
from backbone.envelope import Envelope, Fact, Message, pack, seal
from backbone.failpoints import failpoint
from backbone.pool import Pool
from backbone.statements import Result, Values

log = structlog.get_logger()

Outcome = TypeVar("Outcome")

POLL = 0.5
"""Seconds between two looks whether the database is back."""

NOW = "SELECT now()"
ISOLATION = "read_committed"


class _Use:
    """A connection of the pool for one block, whose errors it tells apart.

    One that is lost, or was left in the middle of something, does not go back into the pool.
    """

    __slots__ = ("_driver", "_pool")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def __aenter__(self) -> "asyncpg.Connection[Any]":
        driver = self._pool.at_once()
        if driver is None:
            with telling_apart():
                driver = await self._pool.take()
        self._driver = driver
        return driver

    async def __aexit__(self, _: Any, error: BaseException | None, __: Any) -> None:
        if error is None:
            self._pool.give_back(self._driver, sound=True)
            return
        away = isinstance(error, Exception) and is_away(error)
        self._pool.give_back(self._driver, sound=isinstance(error, Exception) and not away)
        if isinstance(error, OUTDATED):
            self._pool.renew()
        if away:
            raise DatabaseUnavailable(repr(error)) from error


class Connection:
    """A connection of the pool, for a while."""

    def __init__(self, driver: "asyncpg.Connection[Any]") -> None:
        self.driver = driver

    async def execute(self, statement: str, parameters: Values = None) -> Result:
        """Runs one statement. Raises the driver's own errors."""
        return await statements.execute(self.driver, statement, parameters)


class Transaction(Connection):
    """One database transaction and the events that it makes true.

    What is emitted is stored with the transaction's own writes, so neither can be without the other. ``now`` is the
    database's time of the transaction, known once a statement has brought it or :meth:`time` was asked.
    """

    def __init__(self, driver: "asyncpg.Connection[Any]", source: str) -> None:
        super().__init__(driver)
        self.now: datetime | None = None
        self._source = source
        self._events: list[tuple[Fact, Any]] = []
        self.outgoing: list[Message] = []
        self.committed: list[Callable[[], None]] = []
        """Called, in order, once this transaction is committed; for what may be lost, such as a push."""

    def stream(self, statement: str, parameters: Mapping[str, Any]) -> AsyncIterator[Any]:
        """The rows one by one, without holding all of them. Raises the driver's own errors."""
        return statements.stream(self.driver, statement, parameters)

    async def time(self) -> datetime:
        """The database's clock: the one time that every replica shares."""
        if self.now is None:
            self.now = (await self.execute(NOW)).scalar_one()
        return self.now

    def emit(self, *events: Fact) -> None:
        """Events to be sent once this transaction is committed."""
        context = current.get()
        self._events.extend((event, context) for event in events)

    def send(self, message: Message) -> None:
        """A message that is no event: a ticket or a retry, to be sent once this transaction is committed."""
        self.outgoing.append(message)

    async def store_outgoing(self) -> None:
        """Writes what was emitted to the outbox; ``outgoing`` may leave as soon as this is committed."""
        if self._events:
            time = await self.time()
            envelopes: Sequence[Envelope] = [
                seal(event, source=self._source, time=time, context=context) for event, context in self._events
            ]
            self.outgoing = [*pack(envelopes), *self.outgoing]
        if self.outgoing:
            await outbox.insert(self, self.outgoing)


class Database:
    """A pool of connections to one role's part of the database. ``on_commit`` is told each committed message."""

    def __init__(
        self,
        url: str,
        *,
        schema: str,
        source: str,
        pool_size: int = 8,
        command_timeout: float = 5,
        on_commit: Callable[[list[Message]], None] | None = None,
    ) -> None:
        self.schema = schema
        self.url = url
        self._source = source
        self.on_commit = on_commit
        self._pool_size = pool_size
        self._command_timeout = command_timeout
        self._pool: Pool | None = None

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end, with all that was emitted; an error leaves nothing behind.

        Raises :class:`DatabaseUnavailable`. Nothing but the database may be waited for inside.
        """
        async with self._committing() as tx:
            yield tx
        failpoint("after_commit")
        if tx.outgoing and self.on_commit:
            self.on_commit(tx.outgoing)
            await asyncio.sleep(0)  # they leave before anything else is done: somebody waits for them
        for call in tx.committed:
            call()

    @asynccontextmanager
    async def _committing(self) -> AsyncIterator[Transaction]:
        async with self._connection() as driver:
            transaction = driver.transaction(isolation=ISOLATION)
            await transaction.start()
            try:
                tx = Transaction(driver, self._source)
                yield tx
                await tx.store_outgoing()
                failpoint("before_commit")
            except Exception:
                await transaction.rollback()
                raise
            await transaction.commit()

    async def execute(self, statement: str, parameters: Values = None) -> Result:
        """One statement that is a transaction of its own: no BEGIN, no COMMIT. Raises :class:`DatabaseUnavailable`."""
        async with self._connection() as driver:
            return await statements.execute(driver, statement, parameters)

    @asynccontextmanager
    async def reading(self, *, together: bool = False) -> AsyncIterator[Connection]:
        """A connection for single statements that need no transaction: no BEGIN, no COMMIT.

        ``together`` they share a transaction that commits nothing, and what is set in it. Raises
        :class:`DatabaseUnavailable`.
        """
        async with self._connection() as driver:
            if not together:
                yield Connection(driver)
                return
            transaction = driver.transaction(isolation=ISOLATION)
            await transaction.start()
            try:
                yield Connection(driver)
            except Exception:
                await transaction.rollback()
                raise
            await transaction.rollback()

    def _connection(self) -> _Use:
        """The pool connects when it has to, so that a service starts without its database."""
        if self._pool is None:
            self._pool = Pool(self._connect, size=self._pool_size, patience=self._command_timeout)
        return _Use(self._pool)

    async def _connect(self) -> "asyncpg.Connection[Any]":
        connection: asyncpg.Connection[Any] = await asyncpg.connect(
            self.url,
            timeout=3,
            command_timeout=self._command_timeout,
            server_settings={
                "search_path": self.schema,
                "application_name": self._source,
                "jit": "off",
                # A frozen process must not keep the rows that it had locked.
                "idle_in_transaction_session_timeout": "15s",
            },
        )
        try:
            for name in ("json", "jsonb"):  # given as text, and comes as what it says
                await connection.set_type_codec(name, schema="pg_catalog", encoder=str, decoder=from_json)
        except BaseException:
            connection.terminate()
            raise
        return connection

    async def session(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside the pool, for what belongs to a session: an advisory lock. The caller closes it."""
        with telling_apart():
            return await asyncpg.connect(
                self.url,
                timeout=3,
                command_timeout=5,
                server_settings={"search_path": self.schema, "application_name": self._source},
            )

    @property
    def connections(self) -> int:
        """How many are open."""
        return self._pool.connections if self._pool is not None else 0

    async def insist(self, call: Callable[[], Awaitable[Outcome]], **about: object) -> Outcome:
        """What ``call`` returns, made again for as long as the database is away; it must bear being repeated.

        Each time is logged, with ``about``. Work in hand waits here rather than being given up.
        """
        while True:
            try:
                return await call()
            except DatabaseUnavailable as error:
                log.warning("database.unavailable", error=str(error), **about)
            await asyncio.sleep(POLL)  # one with a full disk, or a standby, answers and yet takes no write
            await self.wait_until_available()

    async def wait_until_available(self) -> None:
        """Returns once the database answers."""
        while True:
            try:
                await self.execute(NOW)
            except DatabaseUnavailable:
                await asyncio.sleep(POLL)
            else:
                return

    async def close(self) -> None:
        """Closes every pooled connection."""
        if self._pool is not None:
            await self._pool.close()
            self._pool = None
