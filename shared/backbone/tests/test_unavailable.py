"""A database that is away has one name, however it is asked."""

import pytest
from backbone.database import Database, DatabaseUnavailable


@pytest.mark.parametrize("together", [False, True])
async def test_a_reader_learns_that_the_database_is_away(*, together: bool) -> None:
    """A caller may answer 503 then, and try again; any other error would be a fault of ours."""
    database = Database("postgresql://nobody:nothing@127.0.0.1:1/nowhere", schema="public", source="test")
    with pytest.raises(DatabaseUnavailable):
        async with database.reading(together=together):
            pass
    await database.close()
