"""What a create knows before it writes: the database's time and what runs have taken."""

import asyncio

import pytest
from backbone.away import DatabaseUnavailable
from backbone.statements import Result
from project_api import beforehand
from project_api.beforehand import Beforehand
from project_api.testing import World


async def test_one_look_serves_all_who_come_with_it(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many creates begin at once, and while it is fresh."""
    monkeypatch.setattr(beforehand, "FRESH", 600.0)
    known = Beforehand(world.parts.database)
    with world.statements() as seen:
        found = await asyncio.gather(*(known.known() for _ in range(20)))
        found.append(await known.known())
    assert len(seen) == 1
    assert len(set(map(id, found))) == 1


async def test_whoever_goes_away_meanwhile_takes_the_look_from_nobody(world: World) -> None:
    """A client that hangs up ends its own wait alone."""
    known = Beforehand(world.parts.database)
    gone, other = asyncio.create_task(known.known()), asyncio.create_task(known.known())
    await asyncio.sleep(0)
    gone.cancel()
    await other
    assert gone.cancelled()


async def test_a_failure_is_everybodys_at_once_and_the_next_look_is_anew(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Were each to look for itself after the one before, a silent database would keep the last for minutes."""
    known, looks = Beforehand(world.parts.database), []

    async def silent(statement: str) -> Result:
        looks.append(statement)
        raise DatabaseUnavailable("silent")

    with monkeypatch.context() as patched:
        patched.setattr(world.parts.database, "execute", silent)
        found = await asyncio.gather(*(known.known() for _ in range(9)), return_exceptions=True)
    assert [type(each) for each in found] == [DatabaseUnavailable] * 9
    assert len(looks) == 1
    await known.known()


async def test_what_is_no_longer_fresh_is_looked_for_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """So a create never goes by times that are older."""
    monkeypatch.setattr(beforehand, "FRESH", 0.0)
    known = Beforehand(world.parts.database)
    assert await known.known() is not await known.known()


async def test_its_time_is_the_databases_and_never_ahead(world: World) -> None:
    """It goes on from the look by this machine's steady clock, whatever its wall clock says."""
    known = await Beforehand(world.parts.database).known()
    for _ in range(3):
        earlier = known.now
        (row,) = await world.rows("SELECT clock_timestamp()")
        assert known.time <= earlier < row[0]
        assert earlier < known.now
