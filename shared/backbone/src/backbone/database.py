"""The database: engines that notice a dead server, and transactions that carry their own messages."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from typing import Any

import asyncpg
from sqlalchemy import TextClause, text
from sqlalchemy.exc import DBAPIError, InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from backbone import outbox, statements
from backbone.context import current
from backbone.envelope import Envelope, Fact, Message, pack, seal
from backbone.failpoints import failpoint
from backbone.statements import Result, Values

NOW = text("SELECT now()")
ISOLATION = "read_committed"

_AWAY = (
    asyncpg.exceptions.PostgresConnectionError,
    asyncpg.exceptions.CannotConnectNowError,
    asyncpg.exceptions.OperatorInterventionError,
    asyncpg.exceptions.InsufficientResourcesError,
    asyncpg.exceptions.ReadOnlySQLTransactionError,
    asyncpg.exceptions.IdleInTransactionSessionTimeoutError,
    asyncpg.exceptions.SerializationError,
    asyncpg.exceptions.DeadlockDetectedError,
)


class DatabaseUnavailable(Exception):
    """The database, not the statement, is at fault: the same work may be tried again later as it is.

    Whether a commit in flight took effect is unknown, which is why every piece of work can be told from its repeat.
    """


@contextmanager
def _telling_apart() -> Iterator[None]:
    """Gives the many ways in which a database can be away one name."""
    try:
        yield
    except DatabaseUnavailable:
        raise
    except Exception as error:
        if _is_away(error):
            raise DatabaseUnavailable(repr(error)) from error
        raise


@asynccontextmanager
async def _discarding(connection: AsyncConnection) -> AsyncIterator[None]:
    """Keeps a connection out of the pool that is lost, or was left in the middle of something."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception) or _is_away(error):
            await connection.invalidate(error)
        raise


def _is_away(error: Exception) -> bool:
    if isinstance(error, (PoolTimeout, TimeoutError, OSError, *_AWAY)):
        return True
    if isinstance(error, asyncpg.InternalClientError):
        return True  # a server that ends in the middle of an answer leaves the driver in a state that it doesn't know
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # a value that the driver cannot send is a mistake of ours
    if not isinstance(error, DBAPIError):
        return False
    cause = getattr(error.orig, "__cause__", None) or error.orig
    return (
        error.connection_invalidated
        or isinstance(error, OperationalError | InterfaceError)
        or isinstance(cause, (*_AWAY, TimeoutError, OSError, asyncpg.InterfaceError))
    )


class Transaction:
    """One database transaction and the events that it makes true.

    What is emitted is stored with the transaction's own writes, so neither can be without the other. ``now`` is the
    database's time of the transaction, known once a statement has brought it or :meth:`time` was asked.
    """

    def __init__(self, connection: AsyncConnection, driver: "asyncpg.Connection[Any]", source: str) -> None:
        self.connection = connection
        """The toolkit's view of it, for what needs more than single statements."""
        self._driver = driver
        self.now: datetime | None = None
        self._source = source
        self._events: list[tuple[Fact, Any]] = []
        self.outgoing: list[Message] = []
        self.committed: list[Callable[[], None]] = []
        """Called, in order, once this transaction is committed; for what may be lost, such as a push."""

    async def execute(self, statement: TextClause, parameters: Values = None) -> Result:
        """Runs one statement in this transaction. Raises the driver's own errors."""
        return await statements.execute(self._driver, statement, parameters)

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
        self.engine: AsyncEngine = create_async_engine(
            "postgresql+asyncpg://",  # the driver reads the URL itself, and knows sslmode and its like
            pool_size=pool_size,
            max_overflow=0,
            pool_timeout=command_timeout,
            pool_recycle=1800,
            hide_parameters=True,  # an error is logged, and parameters are what must not be
            connect_args={
                "dsn": url,
                "timeout": 3,
                "command_timeout": command_timeout,
                "server_settings": {
                    "search_path": schema,
                    "application_name": source,
                    "jit": "off",
                    # A frozen process must not keep the rows that it had locked.
                    "idle_in_transaction_session_timeout": "15s",
                },
            },
        )

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Transaction]:
        """Commits at the end, with all that was emitted; an error leaves nothing behind.

        Raises :class:`DatabaseUnavailable`. Nothing but the database may be waited for inside.
        """
        with _telling_apart():
            async with self._committing() as tx:
                yield tx
        failpoint("after_commit")
        if tx.outgoing and self.on_commit:
            self.on_commit(tx.outgoing)
        for call in tx.committed:
            call()

    @asynccontextmanager
    async def _committing(self) -> AsyncIterator[Transaction]:
        async with self.engine.connect() as connection, _discarding(connection):
            driver: Any = (await connection.get_raw_connection()).driver_connection
            transaction = driver.transaction(isolation=ISOLATION)
            await transaction.start()
            try:
                tx = Transaction(connection, driver, self._source)
                yield tx
                await tx.store_outgoing()
                failpoint("before_commit")
                await connection.commit()
            except Exception:
                await connection.rollback()
                await transaction.rollback()
                raise
            await transaction.commit()

    async def execute(self, statement: TextClause, parameters: Values = None) -> Result:
        """One statement that is a transaction of its own: no BEGIN, no COMMIT. Raises :class:`DatabaseUnavailable`."""
        with _telling_apart():
            async with self.engine.connect() as connection, _discarding(connection):
                driver: Any = (await connection.get_raw_connection()).driver_connection
                return await statements.execute(driver, statement, parameters)

    @asynccontextmanager
    async def reading(self, *, together: bool = False) -> AsyncIterator[AsyncConnection]:
        """A connection for single statements that need no transaction: no BEGIN, no COMMIT.

        ``together`` they share a transaction that commits nothing, and what is set in it. Raises
        :class:`DatabaseUnavailable`.
        """
        with _telling_apart():
            async with self.engine.connect() as connection:
                yield connection if together else await connection.execution_options(isolation_level="AUTOCOMMIT")

    async def session(self) -> "asyncpg.Connection[asyncpg.Record]":
        """A connection outside the pool, for what belongs to a session: an advisory lock. The caller closes it."""
        with _telling_apart():
            return await asyncpg.connect(
                self.url,
                timeout=3,
                command_timeout=5,
                server_settings={"search_path": self.schema, "application_name": self._source},
            )

    async def wait_until_available(self, poll: float = 0.5) -> None:
        """Returns once the database answers; work in hand waits here rather than being given up."""
        while True:
            try:
                await self.execute(NOW)
            except DatabaseUnavailable:
                await asyncio.sleep(poll)
            else:
                return

    async def close(self) -> None:
        """Closes every pooled connection."""
        await self.engine.dispose()
