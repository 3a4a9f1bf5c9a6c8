"""A database that is away has one name, however it is asked."""

import asyncpg
import pytest
from backbone.database import Database, DatabaseUnavailable, _telling_apart


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
    with pytest.raises(DatabaseUnavailable), _telling_apart():
        raise asyncpg.InternalClientError("cannot switch to state 11; another operation (2) is in progress")


async def test_a_server_that_does_not_answer_is_away(postgres_url: str) -> None:
    """A frozen one keeps its connections open and says nothing: each statement has its time."""
    database = Database(postgres_url, schema="public", source="test", command_timeout=0.2)
    with pytest.raises(DatabaseUnavailable):
        await database.execute("SELECT pg_sleep(60)")
    assert (await database.execute("SELECT 1")).scalar_one() == 1
    await database.close()
