"""The links: what each project is to be on its cloud, who works on it, and what came of it.

A row follows the newest run that was asked for. Asking raises the fence, so that work of an older run can no longer be
recorded; the lease stays until that work has surely stopped, and only then is the row taken for the new run. A holder
whose calls have all been answered says so itself; else the lease runs out.
"""

import time
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

from backbone.database import Database, Transaction
from backbone.retries import RunUnknown, Snooze
from contracts.events import (
    Event,
    LinkEnsured,
    LinkRemoved,
    LinkSuspended,
    ProvisioningFailed,
    Step,
)
from pydantic_core import to_json


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
_WISH = {"identifier", "name", "tenant_id", "provider", "region", "run", "deadline_at"}


class Link(NamedTuple):
    """A row as it was read.

    ``fact`` is what settled the run. ``leased_for`` is how many seconds the lease of whoever works on it still lasts,
    ``leased_as`` the fence with which it was taken: an older one than ``fence`` where that work is an older run's.
    ``taken_at`` is set where this reading took the lease, with ``fence``: the monotonic time before it asked.
    """

    identifier: str
    name: str
    tenant_id: int | None
    provider: str
    region: str
    run: int
    goal: Goal
    state: State
    provider_project_id: str | None
    fence: int
    is_overdue: bool
    leased_for: float
    leased_as: int | None
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


COLUMNS = (
    "identifier, name, tenant_id, provider, region, run, goal, state, provider_project_id, fence,"
    " deadline_at <= clock_timestamp() AS is_overdue,"
    " coalesce(greatest(extract(epoch FROM lease_until - clock_timestamp())::float, 0), 0) AS leased_for,"
    " leased_as, fact::text AS fact"
)
_WISHES = (
    " FROM jsonb_to_recordset(CAST(:wishes AS jsonb)) AS wish (identifier text, name text, tenant_id bigint,"
    " provider text, region text, run integer, goal text, state text, deadline_at timestamptz) ORDER BY identifier"
    " ON CONFLICT (identifier) DO UPDATE SET run = excluded.run, goal = excluded.goal, state = excluded.state,"
    " tenant_id = excluded.tenant_id, deadline_at = excluded.deadline_at, fence = link.fence + 1, fact = NULL,"
    " delay_told = NULL, delay_told_at = NULL"
)
_WISHED = "identifier, name, tenant_id, provider, region, run, goal, state, deadline_at"
WANT = f"INSERT INTO links AS link ({_WISHED}) SELECT {_WISHED}{_WISHES} WHERE link.run < excluded.run"
WANT_LEASED = (
    "WITH lease AS (SELECT at, at + make_interval(secs => :seconds) AS until FROM clock_timestamp() AS at)"  # noqa: S608 - our own names
    f" INSERT INTO links AS link ({_WISHED}, fence, leased_as, lease_until)"
    f" SELECT {_WISHED}, 1, 1, (SELECT until FROM lease){_WISHES},"
    " leased_as = CASE WHEN link.lease_until >= (SELECT at FROM lease) THEN link.leased_as ELSE link.fence + 1 END,"
    " lease_until = CASE WHEN link.lease_until >= (SELECT at FROM lease) THEN link.lease_until"
    " ELSE excluded.lease_until END"
    " WHERE link.run < excluded.run"
    f" RETURNING {COLUMNS}, lease_until = (SELECT until FROM lease) AS is_taken"
)
# Rows are locked in the order of their keys, here as everywhere: replicas never wait for each other in a ring.
TAKE = (
    "WITH free AS (SELECT identifier FROM links"  # noqa: S608 - our own names
    " JOIN unnest(CAST(:identifiers AS text[]), CAST(:runs AS integer[])) AS asked (identifier, run)"
    " USING (identifier, run) WHERE state = 'pending' AND coalesce(lease_until < clock_timestamp(), true)"
    " ORDER BY identifier FOR UPDATE OF links)"
    " UPDATE links SET fence = fence + 1, leased_as = fence + 1,"
    " lease_until = clock_timestamp() + make_interval(secs => :seconds)"
    f" FROM free WHERE links.identifier = free.identifier RETURNING links.{COLUMNS}"
)
LOOK = f"SELECT {COLUMNS} FROM links WHERE identifier = ANY(CAST(:identifiers AS text[]))"  # noqa: S608 - our own names
LOCK = f"SELECT {COLUMNS} FROM links WHERE identifier = :identifier FOR UPDATE"  # noqa: S608 - our own names
SETTLE = (
    "WITH fact AS (SELECT * FROM jsonb_to_recordset(CAST(:facts AS jsonb))"
    " AS each (identifier text, fence bigint, state text, fact jsonb, provider_project_id text)"
    "), held AS (SELECT identifier FROM links JOIN fact USING (identifier, fence)"
    " ORDER BY identifier FOR UPDATE OF links)"
    " UPDATE links SET state = fact.state, fact = fact.fact, lease_until = NULL, settled_at = now(),"
    " look_again_at = CASE fact.state WHEN 'removed' THEN now() END,"
    " provider_project_id = coalesce(fact.provider_project_id, links.provider_project_id)"
    " FROM held JOIN fact USING (identifier) WHERE links.identifier = held.identifier"
    " RETURNING links.identifier, links.fence"
)
FORGET = "DELETE FROM links WHERE state = 'removed' AND settled_at < now() - make_interval(days => :days)"
RELEASE = "UPDATE links SET lease_until = NULL WHERE identifier = :identifier AND fence = :fence"
RELEASE_TO_NEWER = "UPDATE links SET lease_until = NULL WHERE identifier = :identifier AND leased_as = :fence"
TELL_DELAY = (
    "UPDATE links SET delay_told = :delay, delay_told_at = now()"
    " WHERE identifier = :identifier AND run = :run AND state = 'pending'"
    " AND (delay_told IS DISTINCT FROM :delay OR delay_told_at < now() - interval '10 minutes') RETURNING goal"
)


class Asked(NamedTuple):
    """What somebody who is to work on a link begins with; without a ``goal`` the run was asked for before."""

    event: Event
    goal: Goal | None = None


async def want(tx: Transaction, wishes: Iterable[tuple[Event, Goal]]) -> None:
    """Records what runs ask for. A run no newer than the row's changes nothing.

    The name that a project first had stays: its cloud project is called by it.
    """
    if rows := _rows(wishes):
        await tx.execute(WANT, {"wishes": rows})


def _rows(wishes: Iterable[tuple[Event, Goal]]) -> str | None:
    newest = {wish[0].identifier: wish for wish in sorted(wishes, key=lambda wish: wish[0].run)}
    rows = [
        command.model_dump(include=_WISH)
        | {"goal": goal, "state": State.CANCELLED if goal is Goal.CANCEL else State.PENDING}
        for command, goal in newest.values()
    ]
    return to_json(rows).decode() if rows else None


async def take(database: Database, asked: Sequence[Asked], seconds: float) -> list[Link | None]:
    """For each its row, and for ``seconds`` the lease on it if it waits to be worked on for this run.

    What a run wants is recorded first, as by :func:`want`; of a new run, in the statement that takes the lease.
    """
    asked_at = time.monotonic()
    found: dict[str, Link] = {}
    if rows := _rows((each.event, each.goal) for each in asked if each.goal is not None):
        begun = await database.execute(WANT_LEASED, {"wishes": rows, "seconds": seconds})
        found = {row.identifier: of_row(row[:-1])._replace(taken_at=asked_at) for row in begun if row.is_taken}
    if others := [each.event for each in asked if each.event.identifier not in found]:
        given = {"identifiers": [each.identifier for each in others], "runs": [each.run for each in others]}
        taken = await database.execute(TAKE, {**given, "seconds": seconds})
        found |= {row.identifier: of_row(row)._replace(taken_at=asked_at) for row in taken}
    if unknown := [each.event.identifier for each in asked if each.event.identifier not in found]:
        found |= {row.identifier: of_row(row) for row in await database.execute(LOOK, {"identifiers": unknown})}
    return [_given(found, each.event) for each in asked]


def _given(found: dict[str, Link], event: Event) -> Link | None:
    """A lease is given once, though two deliveries may have asked for the same run together."""
    link = found.get(event.identifier)
    if link is not None and link.taken_at is not None and link.run == event.run:
        found[event.identifier] = link._replace(taken_at=None)
    return link


def judge(link: Link | None, run: int) -> Link | None:
    """The row to go on with, taken or settled; ``None`` where ``run`` has become pointless.

    Raises :class:`Snooze` where the request is still on its way, or somebody else's lease has to end first. To be
    called once the transaction that asked is committed, for what that recorded must stay.
    """
    if link is None or link.run < run:
        raise RunUnknown("the run's request has not come yet", 5)
    if link.run > run or link.state is State.CANCELLED:
        return None
    if link.state is State.PENDING and link.taken_at is None:
        # An older run's worker gives the lease back as soon as its call is answered, which is soon.
        is_older = link.leased_as is not None and link.leased_as < link.fence
        raise Snooze("somebody else works on the link", 1 if is_older else max(link.leased_for, 1))
    return link


async def lock(tx: Transaction, identifier: str) -> Link | None:
    """The row, kept as it is until the transaction ends."""
    row = (await tx.execute(LOCK, {"identifier": identifier})).one_or_none()
    return of_row(row) if row is not None else None


async def settle(tx: Transaction, facts: Iterable[tuple[Link, Settling]]) -> set[tuple[str, int]]:
    """Records what ended runs, and gives the leases back; identifier and fence of those whose fence was not raised."""
    rows = [
        {
            "identifier": link.identifier,
            "fence": link.fence,
            "state": _STATES[type(fact)],
            "fact": fact.model_dump(),
            "provider_project_id": getattr(fact, "provider_project_id", None),
        }
        for link, fact in facts
    ]
    return {(row.identifier, row.fence) for row in await tx.execute(SETTLE, {"facts": to_json(rows).decode()})}


async def forget_removed(database: Database, days: int) -> None:
    """Deletes links that were removed so many days ago; no event of theirs comes late."""
    await database.execute(FORGET, {"days": days})


async def release(tx: Transaction, link: Link) -> None:
    """Gives the lease back, unless it is another's by now, so that the next try need not wait for its end."""
    await tx.execute(RELEASE, {"identifier": link.identifier, "fence": link.fence})


async def release_to_newer(tx: Transaction, link: Link) -> None:
    """Gives the lease back though a newer run has the row, unless another has it by now.

    Only for whom no call is left unanswered: one that lands later would undo what the newer run does.
    """
    await tx.execute(RELEASE_TO_NEWER, {"identifier": link.identifier, "fence": link.fence})


async def tell_delay(tx: Transaction, event: Event, delay: str) -> Goal | None:
    """What the run waits with, where ``delay`` is news: another one than the last told, or ten minutes have passed."""
    told = await tx.execute(TELL_DELAY, {"identifier": event.identifier, "run": event.run, "delay": delay})
    goal = told.scalar_one_or_none()
    return Goal(goal) if goal is not None else None


def of_row(row: Any) -> Link:
    """The link that a row of :data:`COLUMNS` is."""
    link = Link._make((*row, None))
    state = State(link.state)
    told: Any = link.fact
    fact = _FACTS[state].model_validate_json(told) if told is not None else None
    return link._replace(goal=Goal(link.goal), state=state, fact=fact)
