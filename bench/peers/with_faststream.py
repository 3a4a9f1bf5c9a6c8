"""FastStream: three event services (PEER_ROLE: link, users, projector) over quorum queues."""

import asyncio
import os

from faststream import AckPolicy, FastStream
from faststream.rabbit import Channel, QueueType, RabbitBroker, RabbitQueue
from work import AMQP, SYNCED_AND_COUNTED, Loop

QUEUES = {
    name: RabbitQueue(name, durable=True, queue_type=QueueType.QUORUM)
    for name in ("project.created", "project.linked", "user.sync", "user.synced")
}
ROLE = os.environ.get("PEER_ROLE")

broker = RabbitBroker(AMQP, default_channel=Channel(prefetch_count=100), logger=None)
app = FastStream(broker, logger=None)


@app.on_startup
async def start():
    await Loop.open()


@app.after_shutdown
async def stop():
    await Loop.close()


def consumes(name):
    return broker.subscriber(QUEUES[name], ack_policy=AckPolicy.NACK_ON_ERROR)


async def publish(name, **content):
    await broker.publish(content, queue=QUEUES[name], persist=True)


if ROLE == "link":

    @consumes("project.created")
    async def link(message: dict):
        await Loop.link(message["project"])
        await publish("project.linked", **message)


if ROLE == "users":

    @consumes("project.linked")
    async def fan_out(message: dict):
        sends = [publish("user.sync", project=message["project"], user=user) for user in range(message["users"])]
        await asyncio.gather(*sends)

    @consumes("user.sync")
    async def sync_user(message: dict):
        await Loop.call_user(message["project"], message["user"])
        await publish("user.synced", **message)


if ROLE == "projector":

    @consumes("user.synced")
    async def project_user(message: dict):
        done, users = await Loop.database.fetchrow(SYNCED_AND_COUNTED, message["project"], message["user"])
        if done >= users:
            await Loop.activate(message["project"])


def api():
    from web import make_app

    async def begin():
        await broker.start()
        for queue in QUEUES.values():
            await broker.declare_queue(queue)

    async def hand_over(project, users):
        await publish("project.created", project=project, users=users)

    return make_app(hand_over, begin, broker.stop)
