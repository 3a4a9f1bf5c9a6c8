"""The links: what each project is to be on its cloud, who works on it, and what came of it.

A row follows the newest run that was asked for. Asking raises the fence, so that work of an older run can no longer be
recorded; the lease stays until that work has surely stopped, and only then is the row taken for the new run.
"""

import time
from enum import StrEnum
from typing import Any, NamedTuple

from backbone.database import Database, Transaction
from backbone.leases import LeaseLost
from backbone.retries import Snooze
from contracts.events import (
    Event,
    LinkEnsured,
    LinkRemoved,
    LinkSuspended,
    ProvisioningFailed,
    RunRequested,
    Step,
)
from sqlalchemy import Row, text


class Goal(StrEnum):
    """What a run wants of the link."""

    ENSURE = "ensure"
    SUSPEND = "suspend"
    REMOVE = "remove"
    CANCEL = "cancel"

    @property
    def step(self) -> Step:
        """The step that people see a failure or a wait at."""
        return Step.REMOVE if self is Goal.REMOVE else Step.LINK


class State(StrEnum):
    """Where the newest run stands; all but the first are final for it."""

    PENDING = "pending"
    LINKED = "linked"
    SUSPENDED = "suspended"
    REMOVED = "removed"
    FAILED = "failed"
    CANCELLED = "cancelled"


Settling = LinkEnsured | LinkSuspended | LinkRemoved | ProvisioningFailed
"""The facts that end a run's work on the link."""

_FACTS: dict[State, type[Settling]] = {
    State.LINKED: LinkEnsured,
    State.SUSPENDED: LinkSuspended,
    State.REMOVED: LinkRemoved,
    State.FAILED: ProvisioningFailed,
}
_STATES = {fact: state for state, fact in _FACTS.items()}


class Link(NamedTuple):
    """A row as it was read.

    ``fact`` is what settled the run. ``leased_for`` is how many seconds the lease of whoever works on it still lasts.
    ``taken_at`` is set where this reading took the lease, with ``fence``: the monotonic time before it asked.
    """

    identifier: str
    name: str
    provider: str
    region: str
    run: int
    goal: Goal
    state: State
    provider_project_id: str | None
    fence: int
    is_overdue: bool
    leased_for: float
    fact: Settling | None
    taken_at: float | None = None

    def failed(self, code: str, message: str, *, retryable: bool, tries: int) -> ProvisioningFailed:
        """The fact that ends the run without success."""
        return ProvisioningFailed(
            identifier=self.identifier,
            run=self.run,
            step=self.goal.step,
            code=code,
            message=message,
            retryable=retryable,
            tries=tries,
        )


_COLUMNS = (
    "identifier, name, provider, region, run, goal, state, provider_project_id, fence,"
    " deadline_at <= clock_timestamp() AS is_overdue,"
    " coalesce(greatest(extract(epoch FROM lease_until - clock_timestamp())::float, 0), 0) AS leased_for,"
    " fact::text AS fact"
)
WANT = text(
    "INSERT INTO links AS link (identifier, name, provider, region, run, goal, state, deadline_at)"
    " VALUES (:identifier, :name, :provider, :region, :run, :goal, :state, :deadline_at)"
    " ON CONFLICT (identifier) DO UPDATE SET run = excluded.run, goal = excluded.goal, state = excluded.state,"
    " deadline_at = excluded.deadline_at, fence = link.fence + 1, fact = NULL, delay_told = NULL, delay_told_at = NULL"
    " WHERE link.run < excluded.run"
)
TAKE = text(
    "UPDATE links SET fence = fence + 1, lease_until = clock_timestamp() + make_interval(secs => :seconds)"  # noqa: S608 - our own names
    " WHERE identifier = :identifier AND run = :run AND state = 'pending'"
    f" AND coalesce(lease_until < clock_timestamp(), true) RETURNING {_COLUMNS}"
)
LOOK = text(f"SELECT {_COLUMNS} FROM links WHERE identifier = :identifier")  # noqa: S608 - our own names
LOCK = text(f"SELECT {_COLUMNS} FROM links WHERE identifier = :identifier FOR UPDATE")  # noqa: S608 - our own names
SETTLE = text(
    "UPDATE links SET state = :state, fact = CAST(:fact AS jsonb), lease_until = NULL, settled_at = now(),"
    " provider_project_id = coalesce(:provider_project_id, provider_project_id)"
    " WHERE identifier = :identifier AND fence = :fence"
)
FORGET = text("DELETE FROM links WHERE state = 'removed' AND settled_at < now() - make_interval(days => :days)")
RELEASE = text("UPDATE links SET lease_until = NULL WHERE identifier = :identifier AND fence = :fence")
TELL_DELAY = text(
    "UPDATE links SET delay_told = :delay, delay_told_at = now()"
    " WHERE identifier = :identifier AND run = :run AND state = 'pending'"
    " AND (delay_told IS DISTINCT FROM :delay OR delay_told_at < now() - interval '10 minutes') RETURNING goal"
)


async def want(tx: Transaction, command: RunRequested, goal: Goal) -> None:
    """Records what a run asks for. A run no newer than the row's changes nothing.

    The name that a project first had stays: its cloud project is called by it.
    """
    state = State.CANCELLED if goal is Goal.CANCEL else State.PENDING
    fields = command.model_dump(include={"identifier", "name", "provider", "region", "run", "deadline_at"})
    await tx.execute(WANT, {**fields, "goal": goal, "state": state})


async def take(tx: Transaction, identifier: str, run: int, seconds: float) -> Link | None:
    """The row, and for ``seconds`` the lease on it if it waits to be worked on for this run."""
    asked_at = time.monotonic()
    row = (await tx.execute(TAKE, {"identifier": identifier, "run": run, "seconds": seconds})).one_or_none()
    if row is not None:
        return _link(row)._replace(taken_at=asked_at)
    row = (await tx.execute(LOOK, {"identifier": identifier})).one_or_none()
    return _link(row) if row is not None else None


def judge(link: Link | None, run: int) -> Link | None:
    """The row to go on with, taken or settled; ``None`` where ``run`` has become pointless.

    Raises :class:`Snooze` where the request is still on its way, or somebody else's lease has to end first. To be
    called once the transaction that asked is committed, for what that recorded must stay.
    """
    if link is None or link.run < run:
        raise Snooze("the run's request has not come yet", 5)
    if link.run > run or link.state is State.CANCELLED:
        return None
    if link.state is State.PENDING and link.taken_at is None:
        raise Snooze("somebody else works on the link", max(link.leased_for, 1))
    return link


async def lock(tx: Transaction, identifier: str) -> Link | None:
    """The row, kept as it is until the transaction ends."""
    row = (await tx.execute(LOCK, {"identifier": identifier})).one_or_none()
    return _link(row) if row is not None else None


async def settle(tx: Transaction, link: Link, fact: Settling) -> None:
    """Records what ended the run, and gives the lease back. Raises :class:`LeaseLost` where the fence was raised."""
    done = await tx.execute(
        SETTLE,
        {
            "identifier": link.identifier,
            "fence": link.fence,
            "state": _STATES[type(fact)],
            "fact": fact.model_dump_json(),
            "provider_project_id": getattr(fact, "provider_project_id", None),
        },
    )
    if done.rowcount == 0:
        raise LeaseLost(link.identifier)


async def forget_removed(database: Database, days: int) -> None:
    """Deletes links that were removed so many days ago; no event of theirs comes late."""
    async with database.transaction() as tx:
        await tx.execute(FORGET, {"days": days})


async def release(tx: Transaction, link: Link) -> None:
    """Gives the lease back, unless it is another's by now, so that the next try need not wait for its end."""
    await tx.execute(RELEASE, {"identifier": link.identifier, "fence": link.fence})


async def tell_delay(tx: Transaction, event: Event, delay: str) -> Goal | None:
    """What the run waits with, where ``delay`` is news: another one than the last told, or ten minutes have passed."""
    told = await tx.execute(TELL_DELAY, {"identifier": event.identifier, "run": event.run, "delay": delay})
    goal = told.scalar_one_or_none()
    return Goal(goal) if goal is not None else None


def _link(row: Row[Any]) -> Link:
    link = Link._make((*row, None))
    state = State(link.state)
    fact = _FACTS[state].model_validate_json(row.fact) if row.fact is not None else None
    return link._replace(goal=Goal(link.goal), state=state, fact=fact)
