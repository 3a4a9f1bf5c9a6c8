"""What a service's table of handlers is made of, and what a handler that calls out is given to work with."""

import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from backbone import inbox
from backbone.database import Database, Transaction
from backbone.envelope import Fact
from backbone.group_commit import AlreadyHandled, GroupCommit

Handling = Callable[..., Awaitable[Sequence[Fact] | None]]
Answering = Callable[..., Awaitable[Sequence[Fact]]]
Item = TypeVar("Item")


@dataclass(frozen=True)
class Handler:
    """A handler ``async def verb(event, *, tx, …)`` that writes only the database: one transaction with the inbox row
    and the events that it returns. ``on_give_up(event, failure, *, tx, …)`` answers for tries that are used up,
    ``on_wait(event, wait, *, tx, …)`` tells of a failed try that will be made again; a Snooze is told to nobody."""

    call: Handling
    on_give_up: Answering | None = None
    on_wait: Answering | None = None


@dataclass(frozen=True)
class CallingOut(Handler):
    """A handler ``async def verb(event, *, work, …)`` that calls something outside. It holds no transaction meanwhile:
    it opens what it needs with ``work.begin()`` and ends with ``work.finish()``, and may run twice. A batch is taken
    apart: each event has tries of its own, as if it had come alone, and the batch is acknowledged with the last.

    It returns nothing: it emits its events in the transaction that makes them true. A returned one would be lost.
    """

    call: Callable[..., Awaitable[None]]


@dataclass(frozen=True)
class Folding(Handler):
    """A handler ``async def verb(envelopes, *, tx, …)`` that takes all waiting events of its types in one call."""


Handlers = Mapping[type[Any], Handler]


class Work:
    """The transactions of one delivery to a handler that calls out."""

    def __init__(self, database: Database, message_id: str, *, attempt: int) -> None:
        self._database = database
        self._message_id = message_id
        self.attempt = attempt
        self.finished = False

    @asynccontextmanager
    async def begin(self) -> AsyncIterator[Transaction]:
        """A transaction before or between calls outside: to commit an intent, or to look something up."""
        async with self._database.transaction() as tx:
            yield tx

    @asynccontextmanager
    async def finish(self) -> AsyncIterator[Transaction]:
        """The last transaction: claims the message, and carries result and events. Raises :class:`AlreadyHandled`."""
        async with self._database.transaction() as tx:
            if not await inbox.claim(tx, [self._message_id]):
                raise AlreadyHandled(self._message_id)
            yield tx
        self.finished = True

    async def finish_with(self, group: GroupCommit[Item, Any], item: Item) -> None:
        """As :meth:`finish`, in a transaction that it shares with others. Raises :class:`AlreadyHandled`, and what the
        item was refused with."""
        await group(item, self._message_id)
        self.finished = True


class Dependencies:
    """What handlers ask for by keyword-only name, looked up once at start."""

    def __init__(self, handlers: Handlers, given: Mapping[str, Any]) -> None:
        """Raises :class:`TypeError` for a name that nobody gives."""
        calls = {c for h in handlers.values() for c in (h.call, h.on_give_up, h.on_wait) if c}
        self._for = {call: {name: given[name] for name in _wanted(call, given)} for call in calls}

    def of(self, call: Callable[..., Any]) -> Mapping[str, Any]:
        """The keyword arguments of ``call`` beside ``tx`` or ``work``."""
        return self._for[call]


def _wanted(call: Callable[..., Any], dependencies: Mapping[str, Any]) -> tuple[str, ...]:
    """The dependencies that a handler asks for by name. Raises :class:`TypeError` at start where nobody gives one."""
    asked = [p.name for p in inspect.signature(call).parameters.values() if p.kind is inspect.Parameter.KEYWORD_ONLY]
    wanted = tuple(name for name in asked if name not in ("tx", "work"))
    if missing := [name for name in wanted if name not in dependencies]:
        raise TypeError(f"{call.__name__} asks for {', '.join(missing)}, which the service doesn't give")
    return wanted
