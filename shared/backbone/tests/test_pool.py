"""The pool of connections: bounded, without a trace of who used one before, and rid of those that are lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext
from urllib.parse import urlsplit

import pytest
from backbone.database import Database, DatabaseUnavailable

ME = "SELECT pg_backend_pid()"


@pytest.fixture
async def database(postgres_url: str) -> AsyncIterator[Database]:
    """One connection, and little patience for it."""
    opened = Database(postgres_url, schema="public", source="test", pool_size=1, command_timeout=0.3)
    yield opened
    await opened.close()


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
