"""Group commit: what comes while a transaction is under way shares the next one.

An idle service waits for nothing, and the busier it is, the fewer statements one message costs.
"""

import asyncio
import contextvars
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Generic, TypeVar

from backbone import inbox
from backbone.away import DatabaseUnavailable
from backbone.database import Database, Transaction

Item = TypeVar("Item")
Outcome = TypeVar("Outcome")
Result = TypeVar("Result")

LIMIT = 50
"""Items carried out together at most: a statement must stay short enough for those who wait behind it."""


class AlreadyHandled(Exception):
    """Another delivery of this message was committed first; what was done outside was done twice, harmlessly."""


class Together(Generic[Item, Outcome]):
    """Calls that wait for each other are carried out as one; what one of them breaks is tried again without it.

    ``carry_out`` takes items and returns as many outcomes in their order; an exception among these is that item's own.
    """

    def __init__(self, carry_out: Callable[[Sequence[Item]], Awaitable[Sequence[Outcome | Exception]]]) -> None:
        self._carry_out = carry_out
        self._waiting: deque[tuple[Item, asyncio.Future[Outcome]]] = deque()
        self._worker: asyncio.Task[None] | None = None

    async def __call__(self, item: Item) -> Outcome:
        """The item's outcome. Raises its exception, and :class:`DatabaseUnavailable`."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((item, future))
        if self._worker is None:
            # In no caller's context: one message's log fields are not the next one's.
            self._worker = asyncio.create_task(self._work(), context=contextvars.Context())
        return await future

    async def _work(self) -> None:
        group: list[tuple[Item, asyncio.Future[Outcome]]] = []
        try:
            while self._waiting:
                group = [self._waiting.popleft() for _ in range(min(LIMIT, len(self._waiting)))]
                await self._settle([each for each in group if not each[1].done()])
        finally:
            self._worker = None
            for _, future in (*group, *self._waiting):
                future.cancel()  # of those that have no outcome: the service ends
            self._waiting.clear()

    async def _settle(self, group: list[tuple[Item, asyncio.Future[Outcome]]]) -> None:
        outcomes: Sequence[Outcome | Exception]
        try:
            outcomes = await self._carry_out([item for item, _ in group])
        except Exception as error:  # noqa: BLE001 - each item gets its own, or the one that concerns all
            if len(group) > 1 and not isinstance(error, DatabaseUnavailable):
                for each in group:
                    await self._settle([each])
                return
            outcomes = [error] * len(group)
        for (_, future), outcome in zip(group, outcomes, strict=True):
            if future.done():
                continue
            if isinstance(outcome, Exception):
                future.set_exception(outcome)
            else:
                future.set_result(outcome)


class Part(Generic[Item, Outcome]):
    """One item in a shared transaction, with the context of the delivery that it belongs to."""

    def __init__(self, item: Item, message_id: str | None) -> None:
        self.item = item
        self.message_id = message_id
        self.outcome: Outcome | None = None
        """What the item's caller gets."""
        self.error: Exception | None = None
        self._context = contextvars.copy_context()

    def run(self, call: Callable[..., Result], *given: Any) -> Result:
        """Calls it as the delivery would: what is emitted or logged meanwhile bears its cause."""
        return self._context.run(call, *given)

    def refuse(self, error: Exception) -> None:
        """Nothing was written for this one; its caller gets the error, and its message is not claimed."""
        self.error = error


class GroupCommit(Generic[Item, Outcome]):
    """Writes of a kind, all that wait in one transaction: ``write`` stores them as rows of a few statements."""

    def __init__(
        self, database: Database, write: Callable[[Transaction, Sequence[Part[Item, Outcome]]], Awaitable[None]]
    ) -> None:
        self._database = database
        self._write = write
        self._together: Together[Part[Item, Outcome], Outcome | None] = Together(self._commit)

    async def __call__(self, item: Item, claim: str | None = None) -> Outcome | None:
        """The item's outcome, once it is committed, and with it the claim on the message ``claim``.

        Raises what ``write`` refused it with, :class:`AlreadyHandled` and :class:`DatabaseUnavailable`.
        """
        return await self._together(Part(item, claim))

    async def _commit(self, parts: Sequence[Part[Item, Outcome]]) -> Sequence[Outcome | Exception | None]:
        async with self._database.transaction() as tx:
            await self._write(tx, parts)
            claimed = [each.message_id for each in parts if each.message_id is not None and each.error is None]
            if claimed and len(await inbox.claim(tx, claimed)) < len(claimed):
                # What was written for the one that came twice must go; so all are done again, each alone.
                raise AlreadyHandled
        return [each.error or each.outcome for each in parts]
