"""The picture of a run: a pure function of its facts.

How a run ends. Each way to end it has a mark (time, then event id): the failure of the whole run has its event's; the
completion of a provision run has the greatest of those it needed, the link's and every user's first report. The least
mark is the end, whatever came first to us. What is told after the end still counts in the progress, for it is true on
the cloud; verdict, words and ``completed_at`` stay.
"""

from datetime import datetime
from typing import NamedTuple

from contracts.events import Step
from contracts.status import (
    LABELS,
    OPENING_MESSAGES,
    FailedUser,
    Failure,
    Kind,
    Picture,
    Progress,
    Status,
    StepPicture,
    StepStatus,
    Waiting,
    opening_picture,
)

from status_projector.facts import Facts, GivenUp, Mark, Request

FAILED_MESSAGES = {
    Step.LINK: "Linking the cloud project failed.",
    Step.USERS: "Syncing users failed.",
    Step.ACTIVE: "Cancelled.",
    Step.REMOVE: "Removing failed.",
}
ENDED_MESSAGES = {
    Kind.PROVISION: "The project is active.",
    Kind.SUSPEND: "Suspended.",
    Kind.REMOVE: "Removed.",
}


PARKED = frozenset(("provider", "rate", "maintenance"))
"""Codes of waits that are for the whole region, and so tell more than the count of users does."""


class Ending(NamedTuple):
    """What ended a run; ``failure`` is None where the run did what was asked."""

    mark: Mark
    status: Status
    failure: GivenUp | None = None


class Turn(NamedTuple):
    """The step that runs now, and since when."""

    step: Step
    since: datetime


def ending(facts: Facts) -> Ending | None:
    """The end of a run, by the rule above; None while it runs, or its request hasn't come yet."""
    request = facts.request
    if request is None:
        return None
    if request.kind is Kind.CANCEL:
        return Ending(request.mark, Status.FAILED, _cancelled(request))
    if request.kind is Kind.PROVISION:
        ways = (_failed(facts.run_failure), _completed(facts, request))
    else:
        # Nothing else tells that access could not be taken away, so here one user's failure is the run's.
        done = facts.suspended if request.kind is Kind.SUSPEND else facts.removed
        ways = (_failed(facts.any_failure), Ending(done, Status.SUSPENDED) if done else None)
    return min((way for way in ways if way), key=lambda way: way.mark, default=None)


def _cancelled(request: Request) -> GivenUp:
    return GivenUp(request.mark, Step.ACTIVE, "cancelled", "The run was cancelled.", True, 0, None, None)


def _failed(failure: GivenUp | None) -> Ending | None:
    return failure and Ending(failure.mark, Status.FAILED, failure)


def _completed(facts: Facts, request: Request) -> Ending | None:
    if facts.linked is None or facts.reported < request.users:
        return None
    mark = max(facts.linked, facts.last_report or facts.linked)
    return Ending(mark, Status.FAILED if facts.first_failed else Status.ACTIVE, facts.first_failed)


def opening(request: Request) -> Picture:
    """What project-api shows of a run before anything of it is folded."""
    return opening_picture(request.kind, request.users, request.requested_at)


def picture(facts: Facts) -> Picture | None:
    """The whole picture; None until the run's request has come, for only that says what the run is for."""
    request = facts.request
    if request is None:
        return None
    end = ending(facts)
    failure = end and end.failure
    return Picture(
        status=end.status if end else Status.SUSPENDED if request.kind is Kind.REMOVE else Status.PROVISIONING,
        kind=request.kind,
        error=_error(facts, request, failure) if failure else None,
        failure=_failure(request, failure) if failure else None,
        progress=_progress(facts, request, end),
        steps=_steps(facts, request, end),
        waiting=None if end else _waiting(facts),
        started_at=request.requested_at,
        completed_at=end.mark.time if end else None,
    )


def turn(facts: Facts) -> Turn | None:
    """Whose turn it is in a run that goes on; a removal or suspension takes the users' access before the link's."""
    request = facts.request
    if request is None or ending(facts):
        return None
    first, then, handed_over = (
        (Step.LINK, Step.USERS, facts.linked)
        if request.kind is Kind.PROVISION
        else (Step.USERS, Step.LINK, facts.access_revoked)
    )
    return Turn(then, handed_over.time) if handed_over else Turn(first, request.requested_at)


def moved_steps(before: Picture, after: Picture) -> tuple[str, ...]:
    """The steps that differ, in their order; none where only the progress did."""
    return tuple(new.id.value for old, new in zip(before.steps, after.steps, strict=True) if old != new)


def _error(facts: Facts, request: Request, failure: GivenUp) -> str:
    if failure.user_id is None or request.kind is not Kind.PROVISION:
        return failure.message
    who = failure.email or f"user {failure.user_id}"
    if facts.failed == 1:
        return f"1 of {request.users} users failed, {who}: {failure.message}"
    return f"{facts.failed} of {request.users} users failed, the first being {who}: {failure.message}"


def _failure(request: Request, failure: GivenUp) -> Failure:
    return Failure(
        step=Step.REMOVE if request.kind is Kind.REMOVE else failure.step,
        code=failure.code,
        user=None if failure.user_id is None else FailedUser(id=failure.user_id, email=failure.email or ""),
        retryable=failure.retryable,
        tries=failure.tries,
    )


def _progress(facts: Facts, request: Request, end: Ending | None) -> Progress:
    total = request.users + 2
    active = end is not None and end.status is Status.ACTIVE
    link_done = facts.linked or facts.suspended or facts.removed
    # A failed user is done with too: so a report that comes late can never take a percent back.
    completed = min(facts.reported, request.users) + bool(link_done) + active
    return Progress(
        percent=100 * completed // total, completed=completed, total=total, message=_message(facts, request, end)
    )


def _message(facts: Facts, request: Request, end: Ending | None) -> str:
    if end and end.failure:
        return FAILED_MESSAGES[_failure(request, end.failure).step]
    if end:
        return ENDED_MESSAGES[request.kind]
    waiting = _waiting(facts)
    if waiting and waiting.code in PARKED:
        return f"Waiting for the provider: {waiting.message}"
    if request.kind is Kind.PROVISION and facts.linked:
        return f"Syncing users ({facts.reported} of {request.users})…"
    return OPENING_MESSAGES[request.kind]


def _steps(facts: Facts, request: Request, end: Ending | None) -> tuple[StepPicture, ...]:
    """``updated_at`` is when the step came to the status that it has."""
    active = end.mark if end and end.status is Status.ACTIVE else None
    done = {Step.LINK: facts.linked, Step.USERS: active, Step.ACTIVE: active}
    begun = {Step.USERS: facts.linked}
    failed = end.failure.step if end and end.failure else None
    runs = turn(facts) if request.kind is Kind.PROVISION else None
    pictures = []
    for step, words in LABELS:
        status, mark = StepStatus.NOT_STARTED, None
        if end and step is failed:
            status, mark = StepStatus.FAILED, end.mark
        elif done[step]:
            status, mark = StepStatus.COMPLETED, done[step]
        elif runs and step is runs.step:
            status, mark = StepStatus.PENDING, begun.get(step)
        pictures.append(StepPicture(id=step, label=words, status=status, updated_at=mark and mark.time))
    return tuple(pictures)


def _waiting(facts: Facts) -> Waiting | None:
    open_delays = [
        delay
        for step, delay in facts.delays.items()
        if not (step is Step.LINK and facts.linked) and facts.moved.get(step, delay.mark) <= delay.mark
    ]
    if not open_delays:
        return None
    delay = max(open_delays)
    return Waiting(
        step=delay.step,
        code=delay.code,
        message=delay.message,
        until=delay.until,
        attempt=delay.attempt,
        tries=delay.tries,
    )
