"""The outbox: a message is stored with the state that it tells of, and leaves once that is committed.

Two lanes empty it. The express lane sends what this process has just committed, straight from memory. The sweep, one
for all replicas under a session advisory lock, sends what an express lane left behind: a crash, a broker that was away.
Both may send the same row; ids and bytes are fixed at commit, so the second one is recognised and costs nothing.
A row is deleted once the broker has confirmed it: the outbox holds only what has not left.
"""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

import structlog

from backbone import metrics
from backbone.broker import BrokerUnavailable, Publisher
from backbone.envelope import MAX_BODY_BYTES, Message
from backbone.failpoints import failpoint

if TYPE_CHECKING:
    from backbone.database import Database, Transaction

log = structlog.get_logger()

BATCH = 200
EXPRESS_LIMIT = 2000
"""Messages waiting in memory at most; beyond it they stay in the table for the sweep."""

COUNTED = 100_000
"""Rows that are counted at most: it is done beside each batch, and what has gathered for hours is to leave."""

SWEEP_AFTER = 2.0
"""Seconds a row may be left to its express lane before the sweep takes it."""

MARK_AFTER = 0.05
"""Seconds after a confirm in which further ones come for the same statement, and the message's consumers for the CPU:
they are what somebody waits for."""

INSERT = (
    "INSERT INTO outbox (id, exchange, routing_key, content_type, headers, body, expiration_ms)"
    " SELECT id, exchange, routing_key, content_type, CAST(headers AS jsonb), body, expiration_ms"
    " FROM unnest(CAST(:ids AS uuid[]), CAST(:exchanges AS text[]), CAST(:routing_keys AS text[]),"
    " CAST(:content_types AS text[]), CAST(:headers AS text[]), CAST(:bodies AS bytea[]),"
    " CAST(:expirations AS integer[])) AS m (id, exchange, routing_key, content_type, headers, body, expiration_ms)"
)
CONFIRMED = (
    # Losing this delete in a crash only repeats a message, so its commit need not wait for the disk.
    "DELETE FROM outbox USING (SELECT set_config('synchronous_commit', 'off', true)) AS unhurried"
    " WHERE id = ANY(CAST(:ids AS uuid[]))"
)
LEFT_BEHIND = (
    "SELECT id::text, exchange, routing_key, content_type, headers::text, body, expiration_ms, created_at FROM outbox"
    " WHERE created_at < clock_timestamp() - make_interval(secs => :age) AND (created_at, id) > (:created_at, :id)"
    " ORDER BY created_at, id LIMIT :limit"
)
STATE = (
    "SELECT count(*), coalesce(extract(epoch FROM clock_timestamp() - min(created_at)), 0)"
    " FROM (SELECT created_at FROM outbox ORDER BY created_at LIMIT :most) AS oldest"
)


class Place(NamedTuple):
    """How far the sweep has come through the table."""

    created_at: datetime
    id: str


START = Place(datetime.fromtimestamp(0, UTC), str(UUID(int=0)))


async def insert(tx: "Transaction", messages: Sequence[Message]) -> None:
    """Stores messages in the running transaction. Raises :class:`ValueError` for one that no consumer would take."""
    for message in messages:
        if len(message.body) > MAX_BODY_BYTES:
            raise ValueError(f"{message.routing_key}: {len(message.body)} bytes; at most {MAX_BODY_BYTES}")
    columns = {
        "ids": [each.id for each in messages],
        "exchanges": [each.exchange for each in messages],
        "routing_keys": [each.routing_key for each in messages],
        "content_types": [each.content_type for each in messages],
        "headers": [json.dumps(dict(each.headers)) for each in messages],
        "bodies": [each.body for each in messages],
        "expirations": [each.expiration_ms for each in messages],
    }
    await tx.execute(INSERT, columns)


class Relay:
    """Sends committed messages and takes them off the outbox once confirmed."""

    def __init__(self, database: "Database", publisher: Publisher, *, poll: float = 1.0) -> None:
        self._database = database
        self._publisher = publisher
        self._poll = poll
        self._express: asyncio.Queue[Message] = asyncio.Queue(EXPRESS_LIMIT)
        self._confirmed: asyncio.Queue[str] = asyncio.Queue()

    def offer(self, messages: Sequence[Message]) -> None:
        """Takes freshly committed messages for the express lane; what doesn't fit waits in the table."""
        for message in messages:
            try:
                self._express.put_nowait(message)
            except asyncio.QueueFull:
                log.warning("outbox.express_full", left_to_sweep=message.id)
                return

    async def run_express(self) -> None:
        """Sends what was offered, in batches, for as long as the service runs."""
        while True:
            batch = [await self._express.get()]
            while len(batch) < BATCH and not self._express.empty():
                batch.append(self._express.get_nowait())
            await self._send_or_leave(batch, "express")
            for _ in batch:
                self._express.task_done()

    async def drain(self) -> None:
        """Returns once everything offered so far was sent or left to the sweep."""
        await self._express.join()
        await self._confirmed.join()

    async def run_sweep(self) -> None:
        """Becomes the one sweep of this service when its turn comes, and stays it until the connection is lost."""
        session = await self._database.session()
        try:
            while not await session.fetchval(  # noqa: ASYNC110 - what is waited for is another process's end
                "SELECT pg_try_advisory_lock(hashtext($1))", f"{self._database.schema}.outbox"
            ):
                await asyncio.sleep(self._poll)
            log.info("outbox.sweep_started")
            place = START
            while True:
                await session.fetchval("SELECT 1")  # the lock lives as long as this connection answers
                place = await self._sweep(place)
                if place == START:
                    await asyncio.sleep(self._poll)
        finally:
            session.terminate()

    async def _sweep(self, place: Place) -> Place:
        """Sends a batch from behind ``place``; where the next one begins: behind this one, for what was refused must
        not hold up the rest."""
        which = {"age": SWEEP_AFTER, "limit": BATCH, **place._asdict()}
        rows = (await self._database.execute(LEFT_BEHIND, which)).all()
        count, age = (await self._database.execute(STATE, {"most": COUNTED})).one()
        metrics.OUTBOX_ROWS.set(count)
        metrics.OUTBOX_AGE.set(float(age))
        batch = [
            Message(
                id=row[0],
                exchange=row[1],
                routing_key=row[2],
                content_type=row[3],
                headers=json.loads(row[4]),
                body=row[5],
                expiration_ms=row[6],
            )
            for row in rows
        ]
        if batch and not await self._send_or_leave(batch, "sweep"):
            await asyncio.sleep(self._poll)
        return Place(rows[-1].created_at, rows[-1].id) if len(rows) == BATCH else START

    async def _send_or_leave(self, batch: list[Message], lane: str) -> bool:
        try:
            failpoint("before_publish")
            confirmed = await self._publisher.publish(batch)
        except BrokerUnavailable as error:
            metrics.PUBLISH_FAILURES.inc(len(batch))
            log.warning("outbox.publish_failed", lane=lane, messages=len(batch), error=str(error))
            return False
        metrics.PUBLISHED.labels(lane).inc(len(confirmed))
        for message_id in confirmed:
            self._confirmed.put_nowait(message_id)
        return len(confirmed) == len(batch)

    async def run_marks(self) -> None:
        """Takes confirmed messages off the outbox, beside the sending, so that the next message needn't wait for it."""
        while True:
            ids = [await self._confirmed.get()]
            try:
                await asyncio.sleep(MARK_AFTER)
                while not self._confirmed.empty():
                    ids.append(self._confirmed.get_nowait())
                failpoint("before_mark")
                await self._database.execute(CONFIRMED, {"ids": ids})
            finally:
                # Where this failed the rows stay and the sweep sends them again: a repeat, which is harmless.
                for _ in ids:
                    self._confirmed.task_done()
