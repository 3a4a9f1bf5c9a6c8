"""Carries out a chunk: users side by side on the cloud, results recorded as they come, the rest put off."""

import asyncio
import random
import time
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

import structlog
from backbone.database import Database, DatabaseUnavailable, Transaction
from backbone.failpoints import failpoint
from backbone.handlers import AlreadyHandled, Work
from backbone.leases import Lease, LeaseKeeper, LeaseLost
from clouds.errors import CloudError, ProviderUnavailable, RateLimited, TimeoutUnknown
from clouds.port import Capabilities, CloudProvider, Guard, UserOutcome
from clouds.providers import Clouds
from clouds.vault import SealedFor, Vault
from contracts.events import AccessRevoked, ProvisioningDelayed

from user_syncer import chunks, members, metrics, runs, tickets
from user_syncer.capacity import Capacity
from user_syncer.chunks import Chunk
from user_syncer.orders import Later, Order, judge, overdue_after, step_of
from user_syncer.recording import Result, Round
from user_syncer.runs import Connection
from user_syncer.settings import Settings

log = structlog.get_logger()


@dataclass(frozen=True)
class Syncer:
    """What carrying out a chunk takes; one for the process."""

    database: Database
    clouds: Clouds
    vault: Vault
    leases: LeaseKeeper
    capacity: Capacity
    settings: Settings

    async def take(self, connection: Connection, region: str) -> Chunk | None:
        """The fairest chunk of a region with room; one of a paused region only where there is no other.

        To be called with room reserved in ``region``.
        """
        full, paused = self.capacity.full(besides=region), self.capacity.paused()
        chunk = await chunks.take(connection, self.leases.seconds, full | paused)
        if chunk is None and paused - full:
            chunk = await chunks.take(connection, self.leases.seconds, full)
        return chunk

    async def carry_out(self, chunk: Chunk, work: Work) -> None:
        """Does what the chunk's orders say, and records it. A chunk that was lost to another worker or a newer run is
        left without a trace in our tables; what was begun on the cloud is found by whoever comes next.
        """
        self.capacity.add(chunk.region, len(chunk.orders))
        with self.leases.hold(chunk.id, chunk.fence, chunk.asked_at) as lease:
            attempt = _Attempt(self, chunk, lease, work)
            try:
                await attempt.run()
            except LeaseLost:
                log.info("chunk.lost", chunk=chunk.id)
                await attempt.stop()
                async with work.begin() as tx:
                    await chunks.let_go(tx, chunk)
            except BaseException:
                await attempt.stop()
                raise
        metrics.CHUNK_SECONDS.observe(time.monotonic() - chunk.asked_at)


class _Attempt:
    """One worker's time with one chunk."""

    def __init__(self, syncer: Syncer, chunk: Chunk, lease: Lease, work: Work) -> None:
        self._syncer = syncer
        self._settings = syncer.settings
        self._chunk = chunk
        self._lease = lease
        self._work = work
        self._left = {order.user_id: order for order in chunk.orders}
        self._later: list[Later] = []
        self._tasks: set[asyncio.Task[Result]] = set()

    async def run(self) -> None:
        """Raises LeaseLost."""
        self._start(self._chunk.orders)
        while self._tasks:
            done, self._tasks = await asyncio.wait(self._tasks, timeout=self._settings.record_every)
            if done:
                failpoint("after_cloud_call")
                await self._take_in(sorted((task.result() for task in done), key=lambda each: each.order.user_id))

    async def stop(self) -> None:
        """Returns once nothing is under way on the cloud any more; no further write is begun."""
        self._lease.lose()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _start(self, orders: Iterable[Order]) -> None:
        self._tasks |= {asyncio.create_task(self._one(order)) for order in orders}

    async def _take_in(self, results: list[Result]) -> None:
        """Records what is known so far; then begins to revoke what the stored outcomes replace."""
        unsettled = [order for result in results if (order := result.unsettled)]
        is_last = not self._tasks and not unsettled
        round_ = Round(self._chunk, self._capabilities())
        round_.take(results)
        self._later += [result.verdict for result in results if isinstance(result.verdict, Later)]
        for user_id, order in round_.left.items():
            self._left.pop(user_id)
            if order is not None:
                self._left[user_id] = order
        await self._record(round_, is_last=is_last)
        self._syncer.capacity.add(self._chunk.region, len(unsettled))
        self._start(unsettled)

    def _capabilities(self) -> Capabilities:
        try:
            return self._syncer.clouds.open(self._chunk.region).capabilities
        except CloudError:
            return Capabilities()  # the region is not configured any more: there are only failures to record

    # --- on the cloud

    async def _one(self, order: Order) -> Result:
        """One user's order. One bad user, and one bug that a user brings out, stops no other."""
        chunk = self._chunk
        async with self._syncer.capacity.one_of(chunk.region):
            if chunk.overdue:
                return Result(order, verdict=overdue_after(order.tries))
            try:
                async with asyncio.timeout(self._settings.user_timeout):
                    outcome = await _call(self._syncer.clouds.open(chunk.region), chunk, order, self._lease.check)
                return Result(order, outcome, self._sealed(order, outcome))
            except LeaseLost:
                raise
            except TimeoutError:
                error: Exception = TimeoutUnknown(f"The user took longer than {self._settings.user_timeout:g} s.")
            except CloudError as fault:
                error = fault
            except Exception as bug:
                log.exception("user.sync_broke", identifier=chunk.identifier, user_id=order.user_id)
                error = bug
            return self._failed(order, error)

    def _failed(self, order: Order, error: Exception) -> Result:
        if isinstance(error, ProviderUnavailable | RateLimited):
            self._syncer.capacity.pause(self._chunk.region, error.retry_after)
        chance = random.random()  # noqa: S311 - jitter
        verdict = judge(order, error, overdue=False, max_tries=self._settings.max_tries, jitter=chance)
        return Result(order, verdict=verdict)

    def _sealed(self, order: Order, outcome: UserOutcome | None) -> bytes | None:
        if outcome is None or outcome.key is None:
            return None
        owner = SealedFor(self._chunk.tenant_id, order.user_id, outcome.key.id)
        return self._syncer.vault.seal(outcome.key.secret, owner)

    # --- in the database

    async def _record(self, round_: Round, *, is_last: bool) -> None:
        """Waits for a database that is away, for what was done would be lost with it."""
        transaction = self._work.finish if is_last else self._work.begin
        while True:
            try:
                async with transaction() as tx:
                    await self._write(tx, round_, is_last=is_last)
            except AlreadyHandled:
                # The ticket came twice, and the other delivery took another chunk: this one's results still count.
                transaction = self._work.begin
            except DatabaseUnavailable as error:
                log.warning("database.unavailable", error=str(error), chunk=self._chunk.id)
                await self._syncer.database.wait_until_available()
            else:
                return

    async def _write(self, tx: Transaction, round_: Round, *, is_last: bool) -> None:
        chunk = self._chunk
        is_done = is_last and not self._left
        # Runs are locked before chunks and these before members, here as everywhere.
        was_last_chunk = is_done and chunk.ends_access and await runs.chunk_done(tx, chunk.identifier, chunk.run)
        if is_done:
            await chunks.done(tx, chunk)
        elif is_last:
            await self._put_off(tx)
        else:
            await chunks.cut(tx, chunk, tuple(self._left.values()))
        await members.succeed(tx, chunk.identifier, chunk.run, round_.successes)
        await members.revoke(tx, chunk.identifier, chunk.run, round_.revoked)
        await members.fail(tx, chunk.identifier, chunk.run, round_.failures)
        await members.certain(tx, chunk.identifier, chunk.run, round_.certain)
        tx.emit(*round_.events)
        if was_last_chunk and await runs.access_gone(tx, chunk.identifier, chunk.run):
            tx.emit(AccessRevoked(identifier=chunk.identifier, run=chunk.run))
        tx.committed.append(partial(_tell, round_))

    async def _put_off(self, tx: Transaction) -> None:
        """The rest of the chunk waits, at the longest until the run's deadline; people are told what for, once."""
        chunk, longest = self._chunk, max(self._later, key=lambda each: each.delay)
        now = await tx.time()
        until_deadline = max((chunk.deadline_at - now).total_seconds(), 0.0)
        scale = self._settings.retry_scale
        delay = min(longest.delay * scale, until_deadline)
        attempt = 1 + max(each.order.tries for each in self._later)
        told = f"{longest.code} {attempt}"
        await chunks.wait(tx, chunk, tuple(self._left.values()), attempt=attempt, delay=delay, told=told)
        tx.send(tickets.later(tickets.ticket(chunk.ticket, now), delay / scale, scale))
        if told != chunk.told:
            tx.emit(
                ProvisioningDelayed(
                    identifier=chunk.identifier,
                    run=chunk.run,
                    step=step_of(chunk.kind),
                    code=longest.code,
                    message=longest.message,
                    until=now + timedelta(seconds=delay),
                    attempt=attempt,
                    tries=self._settings.max_tries,
                )
            )


async def _call(cloud: CloudProvider, chunk: Chunk, order: Order, may_write: Guard) -> UserOutcome | None:
    if order.stored:
        await cloud.settle_user(chunk.provider_project_id, order.change, may_write)
        return None
    return await cloud.sync_user(chunk.provider_project_id, order.change, may_write)


def _tell(round_: Round) -> None:
    """Metrics and logs, once the round is committed."""
    synced = [success for success in round_.successes if success.done]
    counts: list[tuple[str, int]] = [("synced", len(synced)), ("revoked", len(round_.revoked))]
    metrics.STRAYS.inc(round_.strays)
    for outcome, number in (*counts, ("failed", len(round_.failures))):
        if number:
            metrics.USERS.labels(outcome).inc(number)
    for failure, _ in round_.failures:
        log.error(
            "user.sync_failed",
            identifier=failure.identifier,
            run=failure.run,
            user_id=failure.user_id,
            code=failure.code,
            error=failure.message,
            tries=failure.tries,
        )
