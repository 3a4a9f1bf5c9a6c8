"""Dramatiq: confirms, a group with a completion callback kept in Redis."""

import dramatiq
from dramatiq.brokers.rabbitmq import RabbitmqBroker
from dramatiq.middleware import GroupCallbacks
from dramatiq.rate_limits.backends import RedisBackend
from work import AMQP, REDIS, Threads

broker = RabbitmqBroker(url=AMQP, confirm_delivery=True)
broker.add_middleware(GroupCallbacks(RedisBackend(url=REDIS)))
dramatiq.set_broker(broker)


@dramatiq.actor
def activate(project):
    Threads.activate(project)


@dramatiq.actor
def sync_user(project, user):
    Threads.sync_user(project, user)


@dramatiq.actor
def link(project, users):
    Threads.link(project)
    everybody = dramatiq.group([sync_user.message(project, user) for user in range(users)])
    everybody.add_completion_callback(activate.message(project))
    everybody.run()


def api():
    from starlette.concurrency import run_in_threadpool
    from web import make_app

    async def hand_over(project, users):
        await run_in_threadpool(link.send, project, users)

    return make_app(hand_over)
