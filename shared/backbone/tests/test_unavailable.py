"""A database that is away has one name, however it is asked."""

import sys

import asyncpg
import pytest
from backbone import database as database_module
from backbone.away import DatabaseUnavailable, telling_apart
from backbone.database import Database


@pytest.mark.parametrize("together", [False, True])
async def test_a_reader_learns_that_the_database_is_away(*, together: bool) -> None:
    """A caller may answer 503 then, and try again; any other error would be a fault of ours."""
    database = Database("postgresql://nobody:nothing@127.0.0.1:1/nowhere", schema="public", source="test")
    with pytest.raises(DatabaseUnavailable):
        async with database.reading(together=together):
            pass
    await database.close()


def test_a_driver_that_has_lost_its_place_means_that_the_database_is_away() -> None:
    """As when a shutdown cuts an answer: taken for a mistake of ours, it would end the task that has the message."""
    with pytest.raises(DatabaseUnavailable), telling_apart():
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")


async def test_a_server_that_does_not_answer_is_away(postgres_url: str) -> None:
    """A frozen one keeps its connections open and says nothing: each statement has its time."""
    database = Database(postgres_url, schema="public", source="test", command_timeout=0.2)
    with pytest.raises(DatabaseUnavailable):
        await database.execute("SELECT pg_sleep(60)")
    assert (await database.execute("SELECT 1")).scalar_one() == 1
    await database.close()


async def test_work_is_made_again_until_the_database_takes_it(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that answers and takes no write, a standby or a full disk, is waited for however long it stays so."""
    monkeypatch.setattr(database_module, "POLL", 0)
    database = Database(postgres_url, schema="public", source="test")
    left = 2 * sys.getrecursionlimit()

    async def write() -> str:
        nonlocal left
        left -= 1
        if left:
            raise DatabaseUnavailable("cannot execute INSERT in a read-only transaction")
        return "written"

    assert await database.insist(write) == "written"
    await database.close()


async def test_the_next_try_is_not_made_at_once(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """It would be made thousands of times a second, and with it what it asks of a cloud."""
    database = Database(postgres_url, schema="public", source="test")
    pauses: list[float] = []

    async def pause(seconds: float) -> None:
        pauses.append(seconds)

    async def write() -> None:
        if not pauses:
            raise DatabaseUnavailable("disk full")

    with monkeypatch.context() as patch:
        patch.setattr("backbone.database.asyncio.sleep", pause)
        await database.insist(write)
    assert pauses == [database_module.POLL]
    await database.close()
