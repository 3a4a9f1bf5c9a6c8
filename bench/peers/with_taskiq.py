"""taskiq on aio-pika: quorum queue, persistent messages and confirms are its defaults; acks once executed."""

import asyncio

from taskiq import TaskiqEvents
from taskiq_aio_pika import AioPikaBroker
from work import AMQP, SYNCED_AND_COUNTED, Loop

broker = AioPikaBroker(AMQP, qos=100)


@broker.on_event(TaskiqEvents.WORKER_STARTUP)
async def start(_):
    await Loop.open()


@broker.on_event(TaskiqEvents.WORKER_SHUTDOWN)
async def stop(_):
    await Loop.close()


@broker.task
async def activate(project: str):
    await Loop.activate(project)


@broker.task
async def sync_user(project: str, user: int):
    await Loop.call_user(project, user)
    done, users = await Loop.database.fetchrow(SYNCED_AND_COUNTED, project, user)
    if done >= users:
        await activate.kiq(project)


@broker.task
async def link(project: str, users: int):
    await Loop.link(project)
    await asyncio.gather(*[sync_user.kiq(project, user) for user in range(users)])


def api():
    from web import make_app

    async def hand_over(project, users):
        await link.kiq(project, users)

    return make_app(hand_over, broker.startup, broker.shutdown)
