"""Carries out a chunk: users side by side on the cloud, results recorded as they come, the rest put off."""

import asyncio
import random
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import cast

import structlog
from backbone.database import Database
from backbone.failpoints import failpoint
from backbone.group_commit import AlreadyHandled, GroupCommit, Together
from backbone.handlers import Work
from backbone.leases import Lease, LeaseKeeper, LeaseLost
from backbone.retries import Snooze
from clouds.errors import CloudError, ProviderUnavailable, RateLimited, TimeoutUnknown
from clouds.guard import guarded_by
from clouds.port import Capabilities, CloudProvider, UserOutcome
from clouds.providers import Clouds
from clouds.vault import SealedFor, Vault

from user_syncer import chunks, metrics
from user_syncer.capacity import Capacity
from user_syncer.model import Chunk
from user_syncer.orders import Later, Order, judge, overdue_after
from user_syncer.records import Record, write_records
from user_syncer.rounds import Result, Round
from user_syncer.runs import Executor
from user_syncer.settings import Settings
from user_syncer.tickets import ChunkPlanned

log = structlog.get_logger()

TRIES = (0.02, 0.1)
"""Seconds between tries to take a chunk; room is reserved meanwhile."""


@dataclass
class Syncer:
    """What carrying out a chunk takes; one for the process."""

    database: Database
    clouds: Clouds
    vault: Vault
    leases: LeaseKeeper
    capacity: Capacity
    settings: Settings
    take: Together[str, Chunk | None] = field(init=False)
    """The fairest chunk of a region with room, to be called with room reserved in the region that is given; one of a
    paused region only where there is no other."""
    records: GroupCommit[Record, None] = field(init=False)

    def __post_init__(self) -> None:
        self.take = Together(partial(self.take_on, self.database))
        self.records = GroupCommit(self.database, write_records)

    async def take_on(self, executor: Executor, regions: Sequence[str]) -> Sequence[Chunk | None]:
        """As ``take``, for several who have room in these regions."""
        taken = {region: await self._take_for(executor, region, number) for region, number in Counter(regions).items()}
        return [taken[region].pop() if taken[region] else None for region in regions]

    async def _take_for(self, executor: Executor, region: str, number: int) -> list[Chunk]:
        full, paused = self.capacity.full(besides=region), self.capacity.paused()
        seconds = self.leases.seconds
        taken = await chunks.take(executor, number, seconds, full | paused)
        if len(taken) < number and paused - full:
            taken += await chunks.take(executor, number - len(taken), seconds, full)
        return taken

    async def serve(self, ticket: ChunkPlanned, work: Work) -> None:
        """Takes the fairest chunk that there is, to be called where there is room, and carries it out.

        Raises Snooze where a chunk is there that cannot be taken, so that no chunk is left without a ticket.
        """
        with self.capacity.reserved(ticket.region, ticket.tenant_id, ticket.users):
            chunk = await self._take_or_wait(ticket.region)
        if chunk is not None:
            await self.carry_out(chunk, work)

    async def _take_or_wait(self, region: str) -> Chunk | None:
        """Whoever holds a row does so for a moment: while plans are stored, say, with which chunks are taken. What is
        left may also be of a full region: another ticket's, which took the chunk that was meant by this one.
        """
        for pause in (*TRIES, None):
            chunk = await self.take(region)
            if chunk is not None or not await chunks.any_due(self.database):
                return chunk
            if pause is not None:
                await asyncio.sleep(pause)
        for each in {region, *self.capacity.full()}:
            self.capacity.send_away(each)
        raise Snooze("the chunks are held by somebody else, or their regions are full", 1)

    async def carry_out(self, chunk: Chunk, work: Work) -> None:
        """Does what the chunk's orders say, and records it; and then takes another, where there is room by now and
        tickets are away that found none.
        """
        following: Chunk | None = chunk
        while following is not None:
            # What is logged of a chunk is of its own run: the delivery may be another's, whose cause the events keep.
            with structlog.contextvars.bound_contextvars(correlation=f"{following.identifier}/{following.run}"):
                await self._carry_out(following, work)
            following = await self._without_ticket(chunk)

    async def _without_ticket(self, former: Chunk) -> Chunk | None:
        region, tenant_id = former.region, former.tenant_id
        if not self.capacity.is_unused(region, tenant_id):
            return None
        with self.capacity.reserved(region, tenant_id, len(former.orders)):
            return await self.take(region)

    async def _carry_out(self, chunk: Chunk, work: Work) -> None:
        """A chunk that was lost to another worker or a newer run is left without a trace in our tables; what was begun
        on the cloud is found by whoever comes next.
        """
        self.capacity.add(chunk.region, chunk.tenant_id, len(chunk.orders))
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
            finally:
                attempt.leave()
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
        self._standing: set[asyncio.Task[Result]] = set()
        """Those whose turn has not come yet."""
        self._ended: list[asyncio.Task[Result]] = []
        self._to_record = asyncio.Event()
        self._unrecorded = 0

    async def run(self) -> None:
        """Raises LeaseLost."""
        with guarded_by(self._lease.check):
            self._start(self._chunk.orders)
            while self._tasks or self._ended:
                with suppress(TimeoutError):
                    async with asyncio.timeout(self._settings.record_every):
                        await self._to_record.wait()
                self._to_record.clear()
                ended, self._ended = self._ended, []
                if ended:
                    failpoint("after_cloud_call")
                    await self._take_in(sorted((task.result() for task in ended), key=lambda each: each.order.user_id))

    async def stop(self) -> None:
        """Returns once nothing is under way on the cloud any more; no further write is begun.

        Who stands in line leaves it: they would wait for places that this attempt gives back only once it has ended.
        """
        self._lease.lose()
        await asyncio.sleep(0)  # who is to stand there has to come first: only on leaving do they count no more
        for task in self._standing:
            task.cancel()
        await asyncio.gather(*self._tasks, *self._ended, return_exceptions=True)

    def leave(self) -> None:
        """Once nothing is under way any more: others need not wait for what is never recorded."""
        self._syncer.capacity.recorded(self._chunk.region, self._unrecorded)

    def _start(self, orders: Iterable[Order]) -> None:
        for order in orders:
            task = asyncio.create_task(self._one(order))
            self._tasks.add(task)
            self._standing.add(task)
            task.add_done_callback(self._end)

    def _end(self, task: "asyncio.Task[Result]") -> None:
        self._tasks.remove(task)
        self._standing.discard(task)
        self._ended.append(task)
        if not self._tasks or self._syncer.capacity.is_held_up(self._chunk.region):
            self._to_record.set()

    async def _take_in(self, results: list[Result]) -> None:
        """Records what is known so far; then begins to revoke what the stored outcomes replace."""
        round_ = Round(self._chunk, self._capabilities())
        round_.take(results)
        is_last = not self._tasks and not round_.unsettled
        self._later += [result.verdict for result in results if isinstance(result.verdict, Later)]
        for user_id, order in round_.left.items():
            self._left.pop(user_id)
            if order is not None:
                self._left[user_id] = order
        with self._syncer.capacity.recording(self._chunk.region):
            await self._record(round_, is_last=is_last)
        self._syncer.capacity.recorded(self._chunk.region, len(results))
        self._unrecorded -= len(results)
        self._syncer.capacity.add(self._chunk.region, self._chunk.tenant_id, len(round_.unsettled))
        self._start(round_.unsettled)

    def _capabilities(self) -> Capabilities:
        try:
            return self._syncer.clouds.open(self._chunk.region).capabilities
        except CloudError:
            return Capabilities()  # the region is not configured any more: there are only failures to record

    # --- on the cloud

    async def _one(self, order: Order) -> Result:
        """One user's order. One bad user, and one bug that a user brings out, stops no other."""
        chunk, capacity = self._chunk, self._syncer.capacity
        await capacity.stand(chunk.region, chunk.tenant_id)
        try:
            self._begin()
            if chunk.overdue:
                return Result(order, verdict=overdue_after(order.tries))
            try:
                async with asyncio.timeout(self._settings.user_timeout):
                    outcome = await _call(self._syncer.clouds.open(chunk.region), chunk, order)
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
        finally:
            capacity.leave(chunk.region, chunk.tenant_id)

    def _begin(self) -> None:
        """The turn has come of the task that calls."""
        self._unrecorded += 1
        self._standing.discard(cast("asyncio.Task[Result]", asyncio.current_task()))

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
        """Waits for a database that is away, for what was done would be lost with it. Raises LeaseLost."""
        syncer = self._syncer
        record = Record(self._chunk, round_, tuple(self._left.values()), tuple(self._later), is_last, self._settings)
        await syncer.database.insist(lambda: self._store(record), chunk=self._chunk.id)

    async def _store(self, record: Record) -> None:
        if record.is_last and not self._work.finished:
            # The ticket may come twice, and the other delivery take another chunk: this one's results still count.
            with suppress(AlreadyHandled):
                await self._work.finish_with(self._syncer.records, record)
                return
        await self._syncer.records(record)


async def _call(cloud: CloudProvider, chunk: Chunk, order: Order) -> UserOutcome | None:
    if order.stored:
        await cloud.settle_user(chunk.provider_project_id, order.change)
        return None
    return await cloud.sync_user(chunk.provider_project_id, order.change)
