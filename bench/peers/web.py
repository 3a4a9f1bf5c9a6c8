"""The API of a peer: it stores the project with its event, then hands it over, as that peer's documentation shows."""

import uuid
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager

import asyncpg
from fastapi import FastAPI
from pydantic import BaseModel

from work import CREATE, DATABASE, STATUS, created


async def nothing() -> None:
    pass


class ProjectIn(BaseModel):
    name: str
    users: int


class ProjectOut(BaseModel):
    id: uuid.UUID
    status: str


def make_app(
    hand_over: Callable[[str, int], Awaitable[None]],
    start: Callable[[], Awaitable[None]] = nothing,
    stop: Callable[[], Awaitable[None]] = nothing,
) -> FastAPI:
    pools = []

    @asynccontextmanager
    async def lifespan(_: FastAPI):
        pools.append(await asyncpg.create_pool(DATABASE, min_size=4, max_size=8))
        await start()
        yield
        await stop()
        await pools[0].close()

    app = FastAPI(lifespan=lifespan)

    @app.post("/admin/v1/projects", status_code=202)
    async def create(body: ProjectIn) -> ProjectOut:
        project = uuid.uuid4()
        await pools[0].execute(CREATE, *created(project, body.name, body.users))
        await hand_over(str(project), body.users)
        return ProjectOut(id=project, status="pending")

    @app.get("/admin/v1/projects/{project}/status")
    async def status(project: uuid.UUID):
        row = await pools[0].fetchrow(STATUS, project)
        return {"status": row[0], "total": row[1], "synced": row[2]}

    return app
