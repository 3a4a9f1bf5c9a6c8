"""Rows 4, 5, 13, 16 and 17: the broker dies, freezes, refuses publishers, loses queues, or waits no longer."""

import asyncio
import signal
import time

from tests.faults import verdict
from tests.faults.ground import DEFAULT_BEHAVIOUR, REPLICAS, SCHEMAS
from tests.faults.trial import Trial


async def broker_ends(trial: Trial) -> None:
    """Killed and stopped, again and again; requests go on as if nothing was."""
    kills, stops = trial.scale.broker_kills, trial.scale.broker_stops
    async with trial.load():
        for _ in range(kills):
            trial.ground.send("broker", signal.SIGKILL)
            await asyncio.sleep(0.5)
            await trial.ground.broker.ready()
        for _ in range(stops):
            await trial.ground.stop("broker")
            await trial.ground.start("broker")
            await trial.ground.broker.ready()
    begin = time.monotonic()
    drained = await _until_sent(trial, 60)
    trial.note(f"{kills} kills, {stops} stops; outbox drained in {time.monotonic() - begin:.1f} s")
    trial.expect(drained, "outbox not drained within 60 s")
    _only_2xx(trial)


def _only_2xx(trial: Trial) -> None:
    trial.expect(set(trial.stream.answers) == {"2xx"}, "the API did not stay 2xx")


async def _unsent(trial: Trial) -> int:
    union = " UNION ALL ".join(f"SELECT count(*) AS n FROM {schema}.outbox" for schema in SCHEMAS)
    (row,) = await trial.ground.rows(f"SELECT sum(n)::int AS n FROM ({union}) AS outboxes")
    return int(row["n"])


async def _until_sent(trial: Trial, seconds: float) -> bool:
    try:
        async with asyncio.timeout(seconds):
            while await _unsent(trial):
                await asyncio.sleep(0.2)
    except TimeoutError:
        return False
    return True


async def broker_freezes(trial: Trial) -> None:
    """It takes what it is sent and answers nothing: nothing may count as sent."""
    async with trial.load():
        await asyncio.sleep(1)
        trial.ground.send("broker", signal.SIGSTOP)
        await asyncio.sleep(0.5)  # confirms that were on their way have come
        taken, accepted = await _taken(trial), len(trial.stream.accepted)
        await asyncio.sleep(trial.scale.freeze / 2)
        confirmed = await _taken(trial) - taken
        meanwhile, unsent = len(trial.stream.accepted) - accepted, await _unsent(trial)
        trial.ground.send("broker", signal.SIGCONT)
    trial.note(f"frozen {trial.scale.freeze / 2:.0f} s: {meanwhile} accepted, {unsent} kept in outboxes")
    trial.expect(confirmed == 0, f"{confirmed:.0f} false confirms")
    trial.expect(unsent >= meanwhile, "an outbox forgot a message that nobody had confirmed")
    _only_2xx(trial)


async def _taken(trial: Trial) -> float:
    return await trial.ground.metrics("uca_messages_published_total")


async def disk_alarm(trial: Trial) -> None:
    """Publishers are blocked; what was delivered is still acked, and the API goes on."""
    await trial.ground.behave(latency_ms={"project": 1500})
    async with trial.load():
        await trial.ground.broker.control("set_disk_free_limit", "90000GB")
        before = await _acked(trial)
        await asyncio.sleep(trial.scale.freeze)
        acked, unsent = await _acked(trial) - before, await _unsent(trial)
        await trial.ground.broker.control("set_disk_free_limit", "200MB")
        await trial.ground.behave(**DEFAULT_BEHAVIOUR)
    trial.note(f"{acked:.0f} messages acked during the alarm; {unsent} kept in outboxes")
    trial.expect(acked > 0, "nothing was acked during the alarm")
    trial.expect(unsent > 0, "the alarm blocked nobody")
    _only_2xx(trial)


async def _acked(trial: Trial) -> float:
    return await trial.ground.metrics("uca_messages_handled_total", outcome="handled")


async def queue_deleted(trial: Trial) -> None:
    """A work queue and another one's bindings go while they are used; importing the definitions brings them back."""
    async with trial.load():
        await asyncio.sleep(1)
        await trial.ground.broker.delete_queue("user-syncer.work")
        bindings = await trial.ground.broker.delete_bindings("link-provisioner.work")
        begin = time.monotonic()
        queues = "user-syncer.work", "link-provisioner.work"
        seconds = [await _consumed_again(trial, queue, begin) for queue in queues]
    trial.note(f"{bindings} bindings and a queue deleted; consumed again after {max(seconds):.1f} s")
    trial.expect(max(seconds) <= 30, "the consumer was not back within 30 s")


async def _consumed_again(trial: Trial, queue: str, begin: float) -> float:
    """Seconds until the broker counts both consumers of a queue that is bound."""
    async with asyncio.timeout(90):
        while not await trial.ground.broker.is_whole(queue, REPLICAS):
            await asyncio.sleep(0.3)
    return time.monotonic() - begin


async def consumer_timeout(trial: Trial) -> None:
    """The broker takes deliveries back from handlers that are still at work; the lease keeps others off the cloud."""
    await trial.ground.broker.control("eval", "application:set_env(rabbit, consumer_timeout, 5000).")
    slow = trial.new_stream("row-17-slow", count=10, rate=10)
    try:
        await trial.ground.behave(latency_ms={"project": 100_000})
        patient = {"CLOUD_TIMEOUT": "150"}
        await trial.ground.restart(dict.fromkeys(("link-provisioner", "link-provisioner.2"), patient))
        await slow.run()
        await asyncio.sleep(5)  # they are at the cloud now
        await trial.ground.behave(latency_ms={"project": 200})
        async with trial.load():
            await asyncio.sleep(90)
    finally:
        await trial.ground.broker.control("eval", "application:set_env(rabbit, consumer_timeout, 1800000).")
    reconnects = await trial.ground.metrics("uca_broker_reconnects_total")
    trial.note(f"10 handlers beyond the limit, {reconnects:.0f} channels closed by the broker")
    trial.expect(reconnects > 0, "the broker took nothing back")
    found = await verdict.settle(trial.ground, slow, await verdict.baseline(trial.ground))
    trial.expect(found.settled and not found.failed_runs, f"of the slow ones: {found}")
