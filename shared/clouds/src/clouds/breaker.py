"""When not to call a cloud: it fails again and again, it refuses our login, it asked us to wait, or an admin said so.
Pure: the caller brings the time, in seconds of a monotonic clock.
"""

from collections import deque
from enum import IntEnum
from math import inf
from typing import NamedTuple

from clouds.errors import Reason
from clouds.settings import CloudSettings


class State(IntEnum):
    """As the gauge shows it."""

    CLOSED = 0
    HALF_OPEN = 1
    OPEN = 2


class Wait(NamedTuple):
    """Do not call now; ``seconds`` is when to ask again."""

    reason: Reason
    seconds: float


CAREFUL = 10.0
"""Seconds of care at most after a 429, else twice what the cloud asked us to wait: work that was sent away meanwhile
comes back some seconds later than that.
"""


class Breaker:
    """One provider and region, in one process.

    ``ask`` before a call; one that was let through ends in exactly one of ``succeeded``, ``failed`` or ``abandoned``.
    While open nothing is let through, then one probe at a time, whose end decides.
    """

    def __init__(self, settings: CloudSettings) -> None:
        self._settings = settings
        self._failures = 0
        self._answered_at = -inf
        self._begun: deque[bool] = deque(maxlen=4 * settings.breaker_failures)
        self._open_for = settings.breaker_open
        self._open_until: float | None = None
        self._reason: Reason = "breaker"
        self._limited_until = 0.0
        self._careful_until = 0.0
        self.probing = False
        """A probe is out, and its end decides."""
        self.maintenance = False
        """Set from outside: an admin's word."""

    def state(self, now: float) -> State:
        if self._open_until is None:
            return State.CLOSED
        return State.OPEN if now < self._open_until else State.HALF_OPEN

    def began(self, *, well: bool) -> None:
        """How a call's first attempt ended; its repeats say nothing new."""
        self._begun.append(well)

    @property
    def in_trouble(self) -> bool:
        """The cloud fails as a whole: a quarter of the last calls failed at first, so a cloud of which a third fail is
        nearly always seen to. One user whose calls always fail is not enough: each of their tries begins one such call.
        """
        return self._begun.count(False) >= self._settings.breaker_failures

    def limited_for(self, now: float) -> float:
        """Seconds that the cloud asked us to wait still."""
        return max(0.0, self._limited_until - now)

    def is_careful(self, now: float) -> bool:
        """A 429 has just been sat out: calls go one by one, lest all that waited run into the limit together."""
        return now < self._careful_until

    def ask(self, now: float) -> Wait | None:
        """``None`` lets the call through; in half-open that makes it the probe."""
        if self.maintenance:
            return Wait("maintenance", self._settings.maintenance_recheck)
        if now < self._limited_until:
            return Wait("rate", self._limited_until - now)
        if self._open_until is None:
            return None
        if now < self._open_until:
            return Wait(self._reason, self._open_until - now)
        if self.probing:
            return Wait(self._reason, self._settings.breaker_open)
        self.probing = True
        return None

    def succeeded(self, now: float) -> bool:
        """The cloud answered, be it with a refusal; whether that closed the breaker."""
        was_open = self._open_until is not None
        self._failures, self._answered_at = 0, now
        self._open_for = self._settings.breaker_open
        self._open_until = None
        self.probing = False
        return was_open

    def failed(self, now: float, began: float) -> bool:
        """No answer, or an error of the cloud's own, to a call of ``began``; whether this failure opened the breaker.

        Where the cloud has answered another call since, it is not down. Calls that hang end late and together, and
        would look like many failures in a row.
        """
        was_open = self._open_until is not None
        self._failures += was_open or began >= self._answered_at
        if was_open and not self.probing:
            return False  # a call from before it opened
        if not was_open and self._failures < self._settings.breaker_failures:
            return False
        self._open(now, "breaker")
        return True

    def refused(self, now: float) -> Wait:
        """Our login is: it opens at once, since every call needs it and many tries would lock our account."""
        self._open(now, "login")
        return Wait("login", self._open_for)

    def abandoned(self) -> None:
        """The call was cancelled, or its token refused, which says nothing of the cloud."""
        self.probing = False

    def limited(self, now: float, retry_after: float) -> None:
        """429: nothing more before ``retry_after`` seconds have passed. It is an answer, so no failure."""
        self.succeeded(now)
        self._limited_until = max(self._limited_until, now + retry_after)
        self._careful_until = self._limited_until + min(2 * retry_after, CAREFUL)

    def _open(self, now: float, reason: Reason) -> None:
        if self._open_until is not None:
            self._open_for = min(self._open_for * 2, self._settings.breaker_open_max)
        self._open_until, self._reason, self.probing = now + self._open_for, reason, False
