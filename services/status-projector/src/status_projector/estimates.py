"""How long runs take: percentiles of what ended well, for each provider, region and size class."""

from backbone.database import Database

WINDOW = 20_000
"""Newest runs looked at in all; a class without any among them keeps its last estimate."""

REFRESH = (
    "INSERT INTO estimates (provider, region, size_class, runs, p50_seconds, p95_seconds)"
    " SELECT provider, region, size_class, count(*), percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds),"
    " percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds)"
    " FROM (SELECT provider, region, size_class, extract(epoch FROM completed_at - started_at) AS seconds,"
    " row_number() OVER (PARTITION BY provider, region, size_class ORDER BY completed_at DESC) AS place"
    " FROM (SELECT * FROM project_status WHERE status = 'active' ORDER BY completed_at DESC LIMIT :window) AS newest"
    # Later runs of a project find most of it done.
    " WHERE run = 1) AS ranked WHERE place <= :runs"
    " GROUP BY provider, region, size_class ORDER BY provider, region, size_class"
    " ON CONFLICT (provider, region, size_class) DO UPDATE SET runs = excluded.runs,"
    " p50_seconds = excluded.p50_seconds, p95_seconds = excluded.p95_seconds"
    # Few creates are left among the newest runs after a change of all projects: what many taught is kept meanwhile.
    " WHERE excluded.runs >= least(estimates.runs, :runs, 20)"
)


async def refresh(database: Database, runs: int) -> None:
    """Learns from the newest ``runs`` of each class again."""
    await database.execute(REFRESH, {"window": WINDOW, "runs": runs})
