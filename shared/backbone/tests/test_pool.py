"""The pool of connections: bounded, without a trace of who used one before, and rid of those that are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest
from backbone.away import DatabaseUnavailable
from backbone.database import Database
from backbone.pool import Pool

ME = "SELECT pg_backend_pid()"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """One connection, and little patience for it."""
    opened = Database(postgres_url, schema="public", source="test", pool_size=1, command_timeout=0.3)
    yield opened
    await opened.close()


def pool_of(url: str, size: int = 1, lifetime: float = 60) -> Pool:
    """A pool with little patience."""

    async def connect() -> "asyncpg.Connection[Any]":
        return await asyncpg.connect(url)

    return Pool(connect, size=size, patience=0.3, lifetime=lifetime)


class Wire:
    """Between a client and the database; once ``frozen`` it swallows what comes."""

    def __init__(self, host: str, port: int) -> None:
        self._server = host, port
        self.frozen = False

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection(*self._server)
        await asyncio.gather(self._carry(reader, back), self._carry(there, writer))

    async def _carry(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while piece := await source.read(65536):
            if not self.frozen:
                target.write(piece)
        target.close()


@asynccontextmanager
async def wired(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to the database, and the database's URL by it."""
    parts = urlsplit(url)
    wire = Wire(parts.hostname or "127.0.0.1", parts.port or 5432)
    server = await asyncio.start_server(wire.connected, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    login = parts.netloc.rpartition("@")[0]
    yield wire, parts._replace(netloc=f"{login}@127.0.0.1:{port}").geturl()
    server.close()


async def test_a_connection_is_used_again(database: Database) -> None:
    """The next one finds the session of the one before."""
    first = (await database.execute(ME)).scalar_one()
    assert (await database.execute(ME)).scalar_one() == first
    assert database.connections == 1


async def test_who_waits_in_vain_for_a_connection_finds_the_database_away(database: Database) -> None:
    """The wait is bounded, and the connection that somebody else has is none the worse for it."""
    async with database.reading() as connection:
        with pytest.raises(DatabaseUnavailable):
            await database.execute(ME)
        pid = (await connection.execute(ME)).scalar_one()
    assert (await database.execute(ME)).scalar_one() == pid


async def test_a_frozen_server_keeps_neither_its_caller_nor_its_connection(postgres_url: str) -> None:
    """Nobody waits for it to confirm that a statement was given up; once it answers again, all is well."""
    async with wired(postgres_url) as (wire, url):
        database = Database(url, schema="public", source="test", pool_size=1, command_timeout=0.3)
        first = (await database.execute(ME)).scalar_one()
        wire.frozen = True
        async with asyncio.timeout(10):
            with pytest.raises(DatabaseUnavailable):
                await database.execute(ME)
        assert database.connections == 0
        wire.frozen = False
        assert (await database.execute(ME)).scalar_one() != first
        await database.close()


async def test_a_cancelled_statement_takes_its_connection_with_it(postgres_url: str) -> None:
    """It is in the middle of something, and nobody is to wait for its end."""
    async with wired(postgres_url) as (wire, url):
        database = Database(url, schema="public", source="test", pool_size=1, command_timeout=60)
        await database.execute(ME)
        wire.frozen = True
        async with asyncio.timeout(10):
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.1):  # a caller's own, as the end of a request is
                    await database.execute(ME)
        assert database.connections == 0
        await database.close()


@pytest.mark.parametrize("fails", [False, True])
async def test_what_is_read_together_leaves_nothing_behind(database: Database, *, fails: bool) -> None:
    """Neither a row nor a setting, whether the reader ends well or in an error."""
    await database.execute("CREATE TABLE IF NOT EXISTS left_behind (id integer)")
    with pytest.raises(KeyError) if fails else nullcontext():
        async with database.reading(together=True) as connection:
            await connection.execute("INSERT INTO left_behind VALUES (1)")
            await connection.execute("SELECT set_config('uca.tenant', '5', true)")
            if fails:
                raise KeyError("a fault of the reader's")
    left = await database.execute("SELECT count(*), current_setting('uca.tenant', true) FROM left_behind")
    assert tuple(left.one()) in [(0, ""), (0, None)]
    await database.execute("DROP TABLE left_behind")


async def test_a_frozen_process_of_ours_does_not_keep_its_rows(database: Database) -> None:
    """The database itself ends a transaction in which nothing has been said for 15 s."""
    limit = await database.execute("SELECT current_setting('idle_in_transaction_session_timeout')")
    assert limit.scalar_one() == "15s"


async def test_a_name_is_looked_up_in_the_services_own_schema(postgres_url: str) -> None:
    """Whatever the role's or the database's own path is."""
    database = Database(postgres_url, schema="of_a_service", source="test")
    assert (await database.execute("SELECT current_setting('search_path')")).scalar_one() == "of_a_service"
    await database.close()


async def test_json_is_given_as_text_and_comes_as_what_it_says(database: Database) -> None:
    """Both kinds of it, so that no caller parses again what the driver has read."""
    row = (await database.execute("SELECT CAST(:a AS json), CAST(:b AS jsonb)", {"a": '{"x": [1]}', "b": '"y"'})).one()
    assert tuple(row) == ({"x": [1]}, "y")


async def test_the_one_that_came_back_last_is_taken_first(postgres_url: str) -> None:
    """So that as few are in use as are needed, and what they hold prepared is at hand."""
    pool = pool_of(postgres_url, size=2)
    first, second = await pool.take(), await pool.take()
    pool.give_back(second, sound=True)
    pool.give_back(first, sound=True)
    assert await pool.take() is first
    pool.give_back(first, sound=True)
    await pool.close()
    assert pool.connections == 0


async def test_one_that_was_lost_while_nobody_used_it_is_replaced(database: Database, postgres_url: str) -> None:
    """Who comes next doesn't notice."""
    lost = (await database.execute(ME)).scalar_one()
    other = Database(postgres_url, schema="public", source="test")
    await other.execute("SELECT pg_terminate_backend(:pid, 5000)", {"pid": lost})
    await other.close()
    while database.connections > 0:  # noqa: ASYNC110 - the loop has to read it off the socket
        await asyncio.sleep(0.01)
    assert (await database.execute(ME)).scalar_one() != lost
    assert database.connections == 1


@pytest.mark.parametrize("left", ["in a transaction", "in the middle of something"])
async def test_what_was_left_behind_is_not_handed_out_again(postgres_url: str, left: str) -> None:
    """Whoever came next would stand in somebody else's work."""
    pool = pool_of(postgres_url)
    taken = await pool.take()
    if left == "in a transaction":
        await taken.execute("BEGIN")
    pool.give_back(taken, sound=left == "in a transaction")
    assert taken.is_closed()
    assert pool.connections == 0
    assert not (await pool.take()).is_in_transaction()


async def test_a_connection_ends_when_its_time_is_over(postgres_url: str) -> None:
    """At once where nobody uses it; else once it comes back."""
    pool = pool_of(postgres_url, size=2, lifetime=0.1)
    used, unused = await pool.take(), await pool.take()
    pool.give_back(unused, sound=True)
    await asyncio.sleep(0.2)
    assert unused.is_closed()
    assert not used.is_closed()
    pool.give_back(used, sound=True)
    assert used.is_closed()
    assert not (await pool.take()).is_closed()


async def test_who_gives_up_waiting_or_cannot_connect_keeps_no_place(postgres_url: str) -> None:
    """Else the pool would be smaller by one each time."""
    fails = True

    async def connect() -> "asyncpg.Connection[Any]":
        if fails:
            raise OSError("nobody is there")
        return await asyncpg.connect(postgres_url)

    pool = Pool(connect, size=1, patience=0.1)
    with pytest.raises(OSError, match="nobody is there"):
        await pool.take()
    fails = False
    taken = await pool.take()
    for _ in range(2):
        with pytest.raises(TimeoutError):
            await pool.take()
    pool.give_back(taken, sound=True)
    assert await pool.take() is taken
    taken.terminate()


async def test_an_end_waits_for_those_at_work_and_lets_nobody_in(postgres_url: str) -> None:
    """What is being written is written to its end; what nobody uses is not handed out meanwhile."""
    pool = pool_of(postgres_url, size=2)
    taken, idle = await pool.take(), await pool.take()
    pool.give_back(idle, sound=True)
    closing = asyncio.create_task(pool.close())
    await asyncio.sleep(0)
    assert pool.at_once() is None
    with pytest.raises(asyncpg.InterfaceError, match="closing"):
        await pool.take()
    assert await taken.fetchval("SELECT 1") == 1
    assert not closing.done()
    pool.give_back(taken, sound=True)
    await closing
    assert taken.is_closed()


async def test_a_changed_schema_fails_one_transaction_and_no_more(postgres_url: str) -> None:
    """The first who notices takes every connection with him that has the old form prepared."""
    database = Database(postgres_url, schema="public", source="test", pool_size=2)
    await database.execute("DROP TABLE IF EXISTS changing")
    await database.execute("CREATE TABLE changing AS SELECT 1 AS id")
    async with database.transaction() as one, database.transaction() as other:
        for tx in (one, other):
            await tx.execute("SELECT * FROM changing")
    await database.execute("ALTER TABLE changing ALTER COLUMN id TYPE text")
    with pytest.raises(asyncpg.InvalidCachedStatementError):
        async with database.transaction() as tx:
            await tx.execute("SELECT * FROM changing")
    for _ in range(2):
        async with database.transaction() as one, database.transaction() as other:
            for tx in (one, other):
                assert (await tx.execute("SELECT * FROM changing")).scalar_one() == "1"
    await database.execute("DROP TABLE changing")
    await database.close()
