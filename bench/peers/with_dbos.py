"""DBOS: one workflow a project, its steps recorded in the database; workers take workflows from a queue."""

import asyncio
import sys

from dbos import DBOS
from work import DATABASE, SYNCED, Loop

SYSTEM = DATABASE + "_dbos"


def settings(executor):
    url = SYSTEM.replace("postgresql://", "postgresql+psycopg://")
    named = {"name": "peer", "system_database_url": url, "executor_id": executor, "application_version": "v1"}
    return {**named, "log_level": "WARNING", "sys_db_pool_size": 16}


@DBOS.step()
async def link(project):
    await Loop.link(project)


@DBOS.step()
async def sync_user(project, user):
    await Loop.call_user(project, user)
    await Loop.database.execute(SYNCED, project, user)


@DBOS.step()
async def activate(project):
    await Loop.activate(project)


@DBOS.workflow()
async def provision(project: str, users: int):
    await link(project)
    await asyncio.gather(*[sync_user(project, user) for user in range(users)])
    await activate(project)


async def work(executor):
    await Loop.open()
    DBOS(config=settings(executor))
    DBOS.launch()
    await DBOS.register_queue_async("projects", worker_concurrency=20, polling_interval_sec=0.1)
    await asyncio.Event().wait()


def api():
    from dbos import DBOSClient
    from web import make_app

    opened = []

    async def start():
        opened.append(DBOSClient(system_database_url=settings("api")["system_database_url"]))

    async def hand_over(project, users):
        named = {"queue_name": "projects", "workflow_name": "provision", "workflow_id": project, "app_version": "v1"}
        await opened[0].enqueue_async(named, project, users)

    return make_app(hand_over, start)


if __name__ == "__main__":
    asyncio.run(work(sys.argv[1]))
