"""Celery: chain and chord, late acks, quorum queues, confirms; results in Redis."""

from celery import Celery, chain, chord, group
from work import AMQP, REDIS, Threads

app = Celery("peer", broker=AMQP, backend=REDIS)
app.conf.update(
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    broker_transport_options={"confirm_publish": True},
    task_default_queue_type="quorum",
    task_default_exchange_type="topic",
    broker_connection_retry_on_startup=True,
    result_expires=3600,
)


@app.task
def link(project, users):
    Threads.link(project)


@app.task
def sync_user(project, user):
    Threads.sync_user(project, user)


@app.task
def activate(project):
    Threads.activate(project)


def submit(project, users):
    everybody = group(sync_user.si(project, user) for user in range(users))
    chain(link.si(project, users), chord(everybody, activate.si(project))).apply_async()


def api():
    from starlette.concurrency import run_in_threadpool
    from web import make_app

    async def hand_over(project, users):
        await run_in_threadpool(submit, project, users)

    return make_app(hand_over)
