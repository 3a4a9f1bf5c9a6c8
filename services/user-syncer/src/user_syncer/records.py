"""Records what came of chunks: those of many chunks in one transaction, each chunk's whole or not at all."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial

import structlog
from backbone.database import Transaction
from backbone.group_commit import Part
from backbone.leases import LeaseLost
from contracts.events import AccessRevoked, ProvisioningDelayed

from user_syncer import chunks, members, metrics, runs, tickets
from user_syncer.model import Chunk
from user_syncer.orders import Later, Order, step_of
from user_syncer.rounds import Round
from user_syncer.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True, slots=True)
class Record:
    """A round's results, and what is then left of its chunk; ``later`` says why it is put off, where it is."""

    chunk: Chunk
    round: Round
    left: Sequence[Order]
    later: Sequence[Later]
    is_last: bool
    settings: Settings

    @property
    def is_done(self) -> bool:
        return self.is_last and not self.left


async def write_records(tx: Transaction, parts: Sequence[Part[Record, None]]) -> None:
    """Refuses with LeaseLost what another worker or a newer run has taken over.

    Runs are locked before chunks and these before members, here as everywhere.
    """
    ending = [part.item.chunk.identifier for part in parts if part.item.is_done and part.item.chunk.ends_access]
    await runs.lock(tx, ending)
    done = await chunks.done(tx, [part.item.chunk for part in parts if part.item.is_done])
    for part in parts:
        chunk = part.item.chunk
        if part.item.is_done and (chunk.id, chunk.fence) not in done:
            part.refuse(LeaseLost(chunk.id))
        elif not part.item.is_done:
            await _keep(tx, part)
    kept = [part for part in parts if part.error is None]
    await members.record(tx, [part.item.round.report for part in kept])
    for part in kept:
        part.run(tx.emit, *part.item.round.events)
        if part.item.is_done and part.item.chunk.ends_access:
            await _end_access(tx, part)
        tx.committed.append(partial(part.run, _tell, part.item.chunk, part.item.round))


async def _keep(tx: Transaction, part: Part[Record, None]) -> None:
    """The chunk goes on with what is left, now or later."""
    try:
        if part.item.is_last:
            await _put_off(tx, part)
        else:
            await chunks.cut(tx, part.item.chunk, part.item.left)
    except LeaseLost as lost:
        part.refuse(lost)


async def _put_off(tx: Transaction, part: Part[Record, None]) -> None:
    """The rest of the chunk waits, at the longest until the run's deadline; people are told what for, once."""
    record, chunk = part.item, part.item.chunk
    longest = max(record.later, key=lambda each: each.delay)
    now = await tx.time()
    until_deadline = max((chunk.deadline_at - now).total_seconds(), 0.0)
    scale = record.settings.retry_scale
    delay = min(longest.delay * scale, until_deadline)
    attempt = 1 + max(each.order.tries for each in record.later)
    told = f"{longest.code} {attempt}"
    await chunks.wait(tx, chunk, record.left, attempt=attempt, delay=delay, told=told)
    tx.send(tickets.later(part.run(tickets.ticket, chunk.ticket, now), delay / scale, scale))
    if told != chunk.told:
        until = now + timedelta(seconds=delay)
        part.run(tx.emit, _delayed(chunk, longest, until, attempt, record.settings.max_tries))


def _delayed(chunk: Chunk, longest: Later, until: datetime, attempt: int, tries: int) -> ProvisioningDelayed:
    return ProvisioningDelayed(
        identifier=chunk.identifier,
        run=chunk.run,
        step=step_of(chunk.kind),
        code=longest.code,
        message=longest.message,
        until=until,
        attempt=attempt,
        tries=tries,
    )


async def _end_access(tx: Transaction, part: Part[Record, None]) -> None:
    """Of a run that suspends or removes: says so once its last chunk is done and no user was given up."""
    chunk = part.item.chunk
    if await runs.chunk_done(tx, chunk.identifier, chunk.run) and await runs.access_gone(
        tx, chunk.identifier, chunk.run
    ):
        part.run(tx.emit, AccessRevoked(identifier=chunk.identifier, run=chunk.run))


def _tell(chunk: Chunk, round_: Round) -> None:
    """Metrics and logs, once the round is committed."""
    synced = [success for success in round_.report.successes if success.done]
    counts: list[tuple[str, int]] = [("synced", len(synced)), ("revoked", len(round_.report.revoked))]
    metrics.STRAYS.inc(round_.strays)
    for outcome, number in (*counts, ("failed", len(round_.report.failures))):
        if number:
            metrics.USERS.labels(outcome).inc(number)
    metrics.UNTAKEN.inc(len(round_.untaken))
    for user_id, left in round_.untaken:
        log.error("access.not_taken", identifier=chunk.identifier, user_id=user_id, code=left.code, error=left.message)
    for failure, _ in round_.report.failures:
        log.error(
            "user.sync_failed",
            identifier=failure.identifier,
            run=failure.run,
            user_id=failure.user_id,
            code=failure.code,
            error=failure.message,
            tries=failure.tries,
        )
