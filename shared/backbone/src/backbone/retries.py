"""What follows a failed try: pure, so that every rule can be read and tested in one place."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

RUNGS: dict[str, float] = {"5s": 5, "30s": 30, "2m": 120, "10m": 600}
"""The retry queues, by name, with the longest a message stays in each, in seconds."""

UNKNOWN_SECONDS = 3600.0
"""How long an event waits for its run's request: longer than a service is behind with its queue."""

JITTER = 0.5
"""A retry leaves after between half of its delay and all of it, so that equal failures spread."""


@runtime_checkable
class Fault(Protocol):
    """An error that knows what it is: a cloud's refusal, say. ``retry_after`` is seconds."""

    @property
    def code(self) -> str: ...

    @property
    def retryable(self) -> bool: ...

    @property
    def retry_after(self) -> float | None: ...

    @property
    def costs_try(self) -> bool: ...


class Snooze(Exception):
    """Raised by a handler whose time has not come: the message comes again after ``delay`` s, at no cost of tries."""

    def __init__(self, reason: str, delay: float) -> None:
        super().__init__(reason)
        self.delay = delay


class RunUnknown(Snooze):
    """The event's run isn't known yet: its request is on its way, or was lost, and then a person must learn of it."""

    code = "unknown_run"


@dataclass(frozen=True)
class Retry:
    """Wait at most ``delay`` seconds on ``rung``, then be the try number ``attempt``."""

    rung: str
    delay: float
    attempt: int


@dataclass(frozen=True)
class Wait:
    """What a handler's ``on_wait`` is told: ``error`` ended a try, the try number ``attempt`` of ``tries`` follows in
    at most ``delay`` seconds."""

    error: Exception
    delay: float
    attempt: int
    tries: int


@dataclass(frozen=True)
class GiveUp:
    """No further try. An expected fault is answered with an event; one of ours (``expected`` false) is parked."""

    code: str
    message: str
    retryable: bool
    tries: int
    expected: bool


def decide(
    attempt: int, error: Exception, *, max_tries: int = 3, jitter: float = 1.0, waited: float = 0.0
) -> Retry | GiveUp:
    """What follows ``error`` at try ``attempt`` (from 1). ``jitter`` is drawn by the caller from 0 to 1, ``waited`` is
    the seconds since the message was first sent to wait.

    A fault that says it isn't retryable ends at once. One that costs no try (a rate limit, an open breaker) waits as
    long as it says. All others back off exponentially over the rungs, ``max_tries`` times.
    """
    if isinstance(error, RunUnknown) and waited > UNKNOWN_SECONDS:
        return GiveUp(error.code, str(error), retryable=True, tries=attempt, expected=False)
    if isinstance(error, Snooze):
        return _retry(error.delay, attempt)
    if isinstance(error, Fault) and not error.costs_try:
        return _retry(error.retry_after or RUNGS["5s"], attempt)
    retryable = error.retryable if isinstance(error, Fault) else True
    if not retryable or attempt >= max_tries:
        expected = isinstance(error, Fault)
        code = error.code if isinstance(error, Fault) else type(error).__name__
        return GiveUp(code, str(error), retryable, attempt, expected)
    asked = (error.retry_after if isinstance(error, Fault) else None) or 0.0
    return _retry(max(backoff(attempt, jitter), asked), attempt + 1)


def backoff(attempt: int, jitter: float) -> float:
    """Seconds before the try after ``attempt``: 5, 30, 120, 600, less up to half by ``jitter``."""
    longest = list(RUNGS.values())[min(attempt, len(RUNGS)) - 1]
    return longest * (1 - JITTER * (1 - jitter))


def rung_for(delay: float) -> str:
    """The shortest rung that can hold ``delay`` seconds; the longest one where none can."""
    return next((name for name, longest in RUNGS.items() if delay <= longest), list(RUNGS)[-1])


def _retry(delay: float, attempt: int) -> Retry:
    rung = rung_for(delay)
    return Retry(rung, min(delay, RUNGS[rung]), attempt)
