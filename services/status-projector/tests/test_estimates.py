"""How long runs take, learned."""

from backbone.database import Database
from status_projector.estimates import refresh

ENDED = (
    "INSERT INTO project_status (identifier, run, provider, region, size_class, status, started_at, completed_at)"
    " SELECT :status || n, 1, 'zadara', 'r1', '1-10', :status, now() - make_interval(secs => n),"
    " now() - make_interval(secs => n) + make_interval(secs => :seconds) FROM generate_series(1, :runs) AS n"
)


async def learned(database: Database, runs: int) -> list[tuple[object, ...]]:
    """The estimates after a refresh."""
    await refresh(database, runs)
    return [tuple(row) for row in await database.execute("SELECT * FROM estimates")]


async def test_estimates_are_percentiles_of_runs_that_ended_active(database: Database) -> None:
    """Failed runs tell nothing; a second refresh replaces the first."""
    async with database.transaction() as tx:
        await tx.execute(ENDED, {"status": "active", "seconds": 30, "runs": 40})
        await tx.execute(ENDED, {"status": "failed", "seconds": 900, "runs": 40})
    assert await learned(database, 500) == [("zadara", "r1", "1-10", 40, 30.0, 30.0)]
    assert await learned(database, 10) == [("zadara", "r1", "1-10", 10, 30.0, 30.0)]


async def test_later_runs_tell_nothing_of_how_long_a_create_takes(database: Database) -> None:
    """A changed user starts a run in each of their projects, which finds everything done."""
    async with database.transaction() as tx:
        await tx.execute(ENDED, {"status": "active", "seconds": 100, "runs": 40})
    before = await learned(database, 500)
    async with database.transaction() as tx:
        await tx.execute("UPDATE project_status SET run = 2, started_at = completed_at - interval '2 s'")
    assert await learned(database, 500) == before == [("zadara", "r1", "1-10", 40, 100.0, 100.0)]


async def test_a_few_creates_do_not_unlearn_what_many_taught(database: Database) -> None:
    """The first ones after a change that started a run in every project."""
    async with database.transaction() as tx:
        await tx.execute(ENDED, {"status": "active", "seconds": 100, "runs": 40})
    before = await learned(database, 500)
    async with database.transaction() as tx:
        later = "UPDATE project_status SET run = 2, started_at = completed_at - interval '2 s'"
        await tx.execute(f"{later} WHERE identifier <> 'active1'")
    assert await learned(database, 500) == before
