"""What is known of a project: facts of its newest run, and of each user. Pure: a fold of events.

Facts are a function of the set of events, so neither order nor duplicates nor the cut into transactions can matter:
a first is the least mark, a last the greatest, a newer run replaces an older one, and a user counts once, by the
earliest report in the newest run that has one. Who folds passes each event once, known by its id.

A fold costs as much as its events, whatever the size of the run. One case needs every report of the run: a report
that turns out earlier than the one that was counted, for a greatest mark can't be taken back. It asks with ``recount``.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple

from contracts import events
from contracts.events import Event, Step
from contracts.status import KINDS, Kind, UserStatus
from pydantic import TypeAdapter


class Mark(NamedTuple):
    """An event's place in the order of its project: the database's time of it, then its id."""

    time: datetime
    id: str


class Request(NamedTuple):
    """What a run is for, and for how many; ``removed`` are those who lose their access."""

    mark: Mark
    kind: Kind
    tenant_id: int | None
    provider: str
    region: str
    participants: int
    removed: int
    requested_at: datetime

    @property
    def users(self) -> int:
        """How many users the run has to report."""
        return self.participants + self.removed


class GivenUp(NamedTuple):
    """A failure for good: one user's where ``user_id`` is set, else the whole run's."""

    mark: Mark
    step: Step
    code: str
    message: str
    retryable: bool
    tries: int
    user_id: int | None
    email: str | None


class Delay(NamedTuple):
    """Why a step waits, and until when."""

    mark: Mark
    step: Step
    code: str
    message: str
    until: datetime
    attempt: int
    tries: int


class Report(NamedTuple):
    """What a run said of one user; ``failure`` only where it was just told, or asked for."""

    run: int
    mark: Mark
    status: UserStatus
    failure: GivenUp | None = None


@dataclass(slots=True)
class Facts:
    """What the events of one run say. ``moved`` has the newest event of each step, which outdates an older delay."""

    run: int
    version: int = 0
    updated_at: datetime | None = None
    request: Request | None = None
    linked: Mark | None = None
    access_revoked: Mark | None = None
    suspended: Mark | None = None
    removed: Mark | None = None
    run_failure: GivenUp | None = None
    any_failure: GivenUp | None = None
    delays: dict[Step, Delay] = field(default_factory=dict)
    moved: dict[Step, Mark] = field(default_factory=dict)
    synced: int = 0
    failed: int = 0
    revoked: int = 0
    last_report: Mark | None = None
    first_failed: GivenUp | None = None

    @property
    def reported(self) -> int:
        """How many users are done with, one way or the other."""
        return self.synced + self.failed + self.revoked

    def count(self, report: Report) -> None:
        """Takes one user's report into account."""
        if report.status is UserStatus.SYNCED:
            self.synced += 1
        elif report.status is UserStatus.FAILED:
            self.failed += 1
            self.first_failed = _first(self.first_failed, report.failure)
        else:
            self.revoked += 1
        if self.last_report is None or self.last_report < report.mark:
            self.last_report = report.mark


@dataclass(slots=True)
class Known:
    """A project while events are folded into it. ``users`` need only hold whom these events concern; ``told`` are those
    whose report changed."""

    facts: Facts | None = None
    users: dict[int, Report] = field(default_factory=dict)
    told: set[int] = field(default_factory=set)
    recount: bool = False


FACTS = TypeAdapter(Facts)
"""Facts to JSON and back."""


def fold(known: Known, event: Event, mark: Mark) -> None:
    """Takes one event in; an older run's changes no fact of the newest one."""
    facts = known.facts
    if facts is None or facts.run < event.run:
        facts = known.facts = Facts(event.run)
        known.recount = False
    if type(event) in _REPORTING:
        _report(known, facts, event, mark)
    if event.run < facts.run:
        return
    facts.version += 1
    if facts.updated_at is None or facts.updated_at < mark.time:
        facts.updated_at = mark.time
    _LEARNING[type(event)](facts, event, mark)


def recount(known: Known, reports: Iterable[Report]) -> None:
    """Counts a run's users afresh, from all their reports."""
    facts = known.facts
    assert facts is not None  # noqa: S101 - only a fold asks for a recount
    facts.synced = facts.failed = facts.revoked = 0
    facts.last_report = facts.first_failed = None
    for report in reports:
        if report.run == facts.run:
            facts.count(report)
    known.recount = False


def given_up(event: events.ProvisioningFailed, mark: Mark) -> GivenUp:
    """The failure that the event tells of."""
    return GivenUp(
        mark, event.step, event.code, event.message, event.retryable, event.tries, event.user_id, event.email
    )


def _report(known: Known, facts: Facts, event: Any, mark: Mark) -> None:
    if event.user_id is None:
        return
    before = known.users.get(event.user_id)
    if before and (before.run, mark) >= (event.run, before.mark):
        return  # told by a newer run, or earlier in this one
    failure = given_up(event, mark) if isinstance(event, events.ProvisioningFailed) else None
    report = known.users[event.user_id] = Report(event.run, mark, _REPORTING[type(event)], failure)
    known.told.add(event.user_id)
    if event.run < facts.run:
        return
    if before and before.run == event.run:
        known.recount = True
    else:
        facts.count(report)


def _requested(facts: Facts, event: events.RunRequested, mark: Mark) -> None:
    if facts.request is None or mark < facts.request.mark:
        facts.request = Request(
            mark,
            KINDS[type(event)],
            event.tenant_id,
            event.provider,
            event.region,
            len(event.participants),
            len(getattr(event, "removed", ())),
            event.requested_at,
        )


def _link_ensured(facts: Facts, event: events.LinkEnsured, mark: Mark) -> None:
    facts.linked = min(facts.linked or mark, mark)
    _move(facts, Step.LINK, mark)


def _link_suspended(facts: Facts, event: events.LinkSuspended, mark: Mark) -> None:
    facts.suspended = min(facts.suspended or mark, mark)


def _link_removed(facts: Facts, event: events.LinkRemoved, mark: Mark) -> None:
    facts.removed = min(facts.removed or mark, mark)


def _user_reported(facts: Facts, event: events.UserSynced, mark: Mark) -> None:
    _move(facts, Step.USERS, mark)


def _user_revoked(facts: Facts, event: events.UserRevoked, mark: Mark) -> None:
    _move(facts, Step.USERS, mark)
    _move(facts, Step.REMOVE, mark)


def _access_revoked(facts: Facts, event: events.AccessRevoked, mark: Mark) -> None:
    facts.access_revoked = min(facts.access_revoked or mark, mark)
    _move(facts, Step.USERS, mark)
    _move(facts, Step.REMOVE, mark)


def _failed(facts: Facts, event: events.ProvisioningFailed, mark: Mark) -> None:
    failure = given_up(event, mark)
    facts.any_failure = _first(facts.any_failure, failure)
    if event.user_id is None:
        facts.run_failure = _first(facts.run_failure, failure)
    _move(facts, event.step, mark)


def _delayed(facts: Facts, event: events.ProvisioningDelayed, mark: Mark) -> None:
    known = facts.delays.get(event.step)
    if known is None or known.mark < mark:
        facts.delays[event.step] = Delay(
            mark, event.step, event.code, event.message, event.until, event.attempt, event.tries
        )


def _logged_alone(facts: Facts, event: events.DriftDetected | events.OrphanFound, mark: Mark) -> None:
    """What a sweep found is in the log, and changes no status."""


def _first(known: GivenUp | None, failure: GivenUp | None) -> GivenUp | None:
    return failure if known is None or (failure and failure.mark < known.mark) else known


def _move(facts: Facts, step: Step, mark: Mark) -> None:
    newest = facts.moved.get(step)
    if newest is None or newest < mark:
        facts.moved[step] = mark


Learning = Callable[[Facts, Any, Mark], None]

_REPORTING: Mapping[type[Event], UserStatus] = {
    events.UserSynced: UserStatus.SYNCED,
    events.UserRevoked: UserStatus.REVOKED,
    events.ProvisioningFailed: UserStatus.FAILED,
}

_LEARNING: Mapping[type[Event], Learning] = {
    events.ProjectCreated: _requested,
    events.ProvisioningRequested: _requested,
    events.ProvisioningCancelled: _requested,
    events.SuspensionRequested: _requested,
    events.RemovalRequested: _requested,
    events.LinkEnsured: _link_ensured,
    events.LinkSuspended: _link_suspended,
    events.LinkRemoved: _link_removed,
    events.UserSynced: _user_reported,
    events.UserRevoked: _user_revoked,
    events.AccessRevoked: _access_revoked,
    events.ProvisioningFailed: _failed,
    events.ProvisioningDelayed: _delayed,
    events.DriftDetected: _logged_alone,
    events.OrphanFound: _logged_alone,
}
