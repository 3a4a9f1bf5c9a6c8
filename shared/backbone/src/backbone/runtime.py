"""One service's life: settings, start, run until SIGTERM, drain."""

import asyncio
import gc
import signal
import sys
import uuid
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any, NoReturn

import asyncpg
import structlog
import uvloop

from backbone import health, inbox, logging, metrics, parked, revisions, topology, tracing
from backbone.away import DatabaseUnavailable
from backbone.broker import Publisher
from backbone.consumer import Consumer
from backbone.database import Database
from backbone.handlers import Handlers
from backbone.outbox import Relay
from backbone.settings import Settings, not_listening
from backbone.subscription import Subscription

log = structlog.get_logger()

VERSION = "SELECT version_num FROM alembic_version"


@dataclass
class Runtime:
    """What a running service has at hand, for its own wiring to use."""

    name: str
    settings: Settings
    database: Database
    publisher: Publisher
    relay: Relay
    health: health.Health
    instance: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    stack: AsyncExitStack = field(default_factory=AsyncExitStack)
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)
    _stopping: asyncio.Event = field(default_factory=asyncio.Event)

    def background(self, name: str, run: Callable[[], Awaitable[None]], *, every: float | None = None) -> None:
        """Runs a task beside the handlers, for good. A failed round is logged and counted, and the task goes on.

        With ``every`` (seconds) ``run`` is one round; without, it runs until it fails, and is then started again.
        """
        self._tasks.append(asyncio.create_task(self._keep(name, run, every), name=name))

    async def _keep(self, name: str, run: Callable[[], Awaitable[None]], every: float | None) -> None:
        failing = metrics.TASK_FAILING.labels(name)
        failing.set(0)
        while True:
            try:
                if not every:  # its round has no good end
                    failing.set(0)
                await run()
                failing.set(0)
            except DatabaseUnavailable as error:
                log.warning("background.waiting", task=name, error=str(error))
            except Exception:
                metrics.TASK_FAILURES.labels(name).inc()
                failing.set(1)
                log.exception("background.failed", task=name)
            await asyncio.sleep(every or 1.0)

    def stop(self) -> None:
        """Begins the drain."""
        self._stopping.set()

    def is_stopping(self) -> bool:
        """Whether the drain has begun: what is in hand goes on, and nothing more is taken up."""
        return self._stopping.is_set()

    async def stopped(self) -> None:
        """Returns once the service was told to stop."""
        await self._stopping.wait()

    async def cancel_background(self) -> None:
        """Ends every background task."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)


Wiring = Callable[[Runtime], Awaitable[Mapping[str, Any]]]


def run(name: str, settings: Settings, handlers: Handlers, wire: Wiring | None = None) -> None:
    """Runs a service until SIGTERM or SIGINT. ``wire`` adds what its handlers ask for, by name."""
    logging.configure(name, settings.log_level)
    uvloop.run(serve(name, settings, handlers, wire))


async def serve(name: str, settings: Settings, handlers: Handlers, wire: Wiring | None = None) -> None:
    """The service itself, in a loop that runs already."""
    runtime = build(name, settings)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, runtime.stop)
    async with runtime.stack:
        dependencies = await wire(runtime) if wire else {}
        await operate(runtime, handlers, dependencies)


def build(name: str, settings: Settings) -> Runtime:
    """The parts of a service, not yet running."""
    database = Database(
        settings.database_url.get_secret_value(),
        schema=name.replace("-", "_"),
        source=name,
        pool_size=settings.pool_size,
        command_timeout=settings.command_timeout,
    )
    publisher = Publisher(settings.amqp_url.get_secret_value(), name=name)
    relay = Relay(database, publisher)
    database.on_commit = relay.offer
    return Runtime(name, settings, database, publisher, relay, health.Health())


async def operate(runtime: Runtime, handlers: Handlers, dependencies: Mapping[str, Any]) -> None:
    """Consumes until told to stop, then finishes what is in hand."""
    settings = runtime.settings
    consumer = Consumer(
        runtime.name,
        handlers,
        runtime.database,
        runtime.publisher,
        dependencies=dependencies,
        concurrency=settings.concurrency,
        max_tries=settings.max_tries,
        retry_scale=settings.retry_scale,
    )
    own = topology.names(runtime.name)
    drain = parked.Drain(runtime.database)
    subscription = Subscription(
        settings.amqp_url.get_secret_value(),
        name=runtime.name,
        queues={own.work: consumer.receive, own.parked: drain.receive},
        prefetch=settings.prefetch,
    )
    readiness = Readiness(runtime)
    runtime.health.require("broker", subscription.consuming.is_set)
    runtime.background("consumer", consumer.run)
    runtime.background("outbox-express", runtime.relay.run_express)
    runtime.background("outbox-marks", runtime.relay.run_marks)
    runtime.background("outbox-sweep", runtime.relay.run_sweep)
    runtime.background("inbox-forget", lambda: inbox.forget(runtime.database, settings.inbox_days), every=60)
    runtime.background("parked-count", drain.count, every=settings.housekeeping_seconds)
    runtime.background("readiness", readiness.look, every=1)
    if settings.metrics_port:
        host, port = settings.metrics_host, settings.metrics_port
        try:
            server = health.serve(host, port, runtime.health)
        except OSError as error:
            fail(not_listening("METRICS", host, port, error))
        runtime.stack.callback(server.shutdown)
    if settings.otel_exporter_otlp_endpoint:
        _trace(runtime, settings.otel_exporter_otlp_endpoint)
    consuming = asyncio.create_task(subscription.run())
    _calm_collector()
    log.info("service.started", instance=runtime.instance)
    await runtime.stopped()
    log.info("service.draining")
    await _drain(runtime, consumer, subscription, consuming)
    log.info("service.stopped")


def _trace(runtime: Runtime, endpoint: str) -> None:
    try:
        exporter = tracing.otlp(endpoint)
    except ImportError:
        fail("setting OTEL_EXPORTER_OTLP_ENDPOINT: traces need the package uca-backbone[tracing]")
    runtime.stack.callback(tracing.configure(runtime.name, exporter).shutdown)


def _calm_collector() -> None:
    """What was imported and wired stays for good: the cycle collector need not walk over it again and again."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 20, 20)


async def _drain(
    runtime: Runtime, consumer: Consumer, subscription: Subscription, consuming: "asyncio.Task[None]"
) -> None:
    subscription.stop()
    try:
        async with asyncio.timeout(runtime.settings.drain_seconds):
            await consumer.drained()
            await runtime.relay.drain()
    except TimeoutError:
        # What is unacked comes to another replica, what is unsent stays in the outbox.
        log.warning("service.drain_incomplete", seconds=runtime.settings.drain_seconds)
    subscription.release()
    await asyncio.wait({consuming}, timeout=3)
    consuming.cancel()
    await runtime.cancel_background()
    await runtime.publisher.close()
    await runtime.database.close()


class Readiness:
    """Looks at the database each second: does it answer, and is its schema the one that this code was written for?"""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._head = revisions.head(runtime.database.schema)
        self._database_up = False
        self._migrated = False
        runtime.health.require("database", lambda: self._database_up)
        runtime.health.require("migrations", lambda: self._migrated)

    async def look(self) -> None:
        """One look. A newer schema than ours is fine: the next version of this service is being rolled out."""
        self._runtime.health.beat()
        try:
            found = (await self._runtime.database.execute(VERSION)).scalar_one_or_none()
        except asyncpg.UndefinedTableError:  # also of a schema that is not there, or not ours to use
            log.error("service.schema_missing", schema=self._runtime.database.schema, hint="run the migrator first")
            self._down()
            return
        except asyncpg.PostgresError as error:
            log.error("database.refused", error=str(error), hint="look at DATABASE_URL: role, password, database")
            self._down()
            return
        except DatabaseUnavailable:
            self._down()
            raise
        self._database_up = True
        metrics.DATABASE_UP.set(1)
        self._migrated = found is not None and (self._head is None or found >= self._head)

    def _down(self) -> None:
        self._database_up = False
        metrics.DATABASE_UP.set(0)


def fail(words: str) -> NoReturn:
    """Ends the process for a reason that only a person can mend; 2 as for a wrong setting."""
    print(words, file=sys.stderr)  # noqa: T201 - the last word before the end
    sys.exit(2)
