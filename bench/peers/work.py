"""The work that every peer does: the same rows, the same two calls on the cloud, as cheaply as each style allows."""

import json
import os
from typing import Any

DATABASE = os.environ["PEER_DATABASE"]
AMQP = os.environ["PEER_AMQP"]
REDIS = os.environ["PEER_REDIS"]
CLOUD = os.environ["PEER_CLOUD"]
POOL = int(os.environ.get("PEER_POOL", "8"))

CREATE = (
    "WITH p AS (INSERT INTO projects (id, name, users) VALUES ($1, $2, $3))"
    " INSERT INTO events (project_id, type, payload) VALUES ($1, 'project.created', $4)"
)
LINKED = "UPDATE projects SET link_id = $2 WHERE id = $1"
SYNCED = "INSERT INTO project_users (project_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING"
SYNCED_AND_COUNTED = (
    "WITH i AS (INSERT INTO project_users (project_id, user_id) VALUES ($1, $2) ON CONFLICT DO NOTHING RETURNING 1)"
    " UPDATE projects SET done = done + (SELECT count(*) FROM i) WHERE id = $1 RETURNING done, users"
)
ACTIVE = (
    "UPDATE projects SET status = 'active', active_at = clock_timestamp(), synced_at_active = coalesce("
    "synced_at_active, (SELECT count(*) FROM project_users WHERE project_id = $1)) WHERE id = $1"
)
STATUS = (
    "SELECT status, users, (SELECT count(*) FROM project_users u WHERE u.project_id = p.id) FROM projects p"
    " WHERE id = $1"
)


class Threads:
    """For peers that block: psycopg and urllib3, opened at their first use in each process."""

    _pool: Any = None
    _http: Any = None

    @classmethod
    def execute(cls, statement: str, *values: Any) -> None:
        if cls._pool is None:
            from psycopg_pool import ConnectionPool

            always = {"autocommit": True, "prepare_threshold": 1}
            cls._pool = ConnectionPool(DATABASE, min_size=1, max_size=POOL, open=True, kwargs=always)
        for number in range(len(values), 0, -1):
            statement = statement.replace(f"${number}", f"%(v{number})s")
        with cls._pool.connection() as connection:
            connection.execute(statement, {f"v{number}": value for number, value in enumerate(values, start=1)})

    @classmethod
    def call(cls, path: str) -> None:
        if cls._http is None:
            import urllib3

            cls._http = urllib3.PoolManager(maxsize=128, retries=False)
        assert cls._http.request("POST", CLOUD + path).status == 200

    @classmethod
    def link(cls, project: str) -> None:
        cls.call(f"/link?p={project}")
        cls.execute(LINKED, project, "linked")

    @classmethod
    def sync_user(cls, project: str, user: int) -> None:
        cls.call(f"/users/{user}?p={project}")
        cls.execute(SYNCED, project, user)

    @classmethod
    def activate(cls, project: str) -> None:
        cls.execute(ACTIVE, project)


class Loop:
    """For peers on asyncio: asyncpg and aiohttp."""

    database: Any
    _http: Any

    @classmethod
    async def open(cls) -> None:
        import aiohttp
        import asyncpg

        cls.database = await asyncpg.create_pool(DATABASE, min_size=2, max_size=POOL)
        cls._http = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=256))

    @classmethod
    async def close(cls) -> None:
        await cls._http.close()
        await cls.database.close()

    @classmethod
    async def call(cls, path: str) -> None:
        async with cls._http.post(CLOUD + path) as answer:
            assert answer.status == 200
            await answer.read()

    @classmethod
    async def link(cls, project: str) -> None:
        await cls.call(f"/link?p={project}")
        await cls.database.execute(LINKED, project, "linked")

    @classmethod
    async def call_user(cls, project: str, user: int) -> None:
        await cls.call(f"/users/{user}?p={project}")

    @classmethod
    async def activate(cls, project: str) -> None:
        await cls.database.execute(ACTIVE, project)


def created(project: Any, name: str, users: int) -> tuple[Any, ...]:
    """The values of CREATE."""
    return project, name, users, json.dumps({"users": users})
