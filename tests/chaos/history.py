"""What was sent, what came back, and what was done to services and cloud meanwhile."""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any


@dataclass(frozen=True)
class Sent:
    """One request and its answer; times are seconds since the round began.

    ``status`` is None where no answer came: it may have been carried out, as after a 5xx.
    """

    name: str
    at: float
    ended: float
    status: int | None
    project: str | None = None
    user: int | None = None
    tenant: int | None = None
    body: Mapping[str, Any] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    answer: Mapping[str, Any] = field(default_factory=dict)
    raw: bytes = b""

    @property
    def accepted(self) -> bool:
        return self.status is not None and self.status < 300

    @property
    def unsure(self) -> bool:
        return self.status is None or self.status >= 500

    @property
    def run(self) -> int | None:
        """The run that it began, where it began one."""
        run = self.answer.get("run")
        return run if isinstance(run, int) else None

    @property
    def key(self) -> str | None:
        return self.headers.get("Idempotency-Key")

    def concerns(self, identifier: str) -> bool:
        """Whether it was sent to this project, made it, or raised its run by changing a user."""
        made = self.answer.get("identifier")
        return identifier in (self.project, made) or identifier in (self.answer.get("runs") or ())

    def line(self) -> str:
        """For a person."""
        to = f" user {self.user}" if self.user else ""
        body = f" {dict(self.body)}" if self.body else ""
        run = f" run {self.run}" if self.run else ""
        words = "" if self.accepted else f" {self.answer.get('message') or ''}"
        return f"{self.name}{to}{body} -> {self.status or 'no answer'}{run}{words} (after {self.ended - self.at:.2f} s)"


@dataclass(frozen=True)
class Strike:
    """Something that was done to a service or to the cloud."""

    at: float
    words: str


@dataclass
class History:
    """Of one round, in the order in which answers came; ``begun`` is by the clock of all, for all is on one machine."""

    sent: list[Sent] = field(default_factory=list)
    strikes: list[Strike] = field(default_factory=list)
    begun: datetime = field(default_factory=lambda: datetime.now(UTC))

    def all(self) -> Iterator[tuple[datetime, str]]:
        """Everything, each with its time; unordered."""
        for each in self.sent:
            yield self._time(each.at), f"> {each.project or ''} {each.line()}"
        for strike in self.strikes:
            yield self._time(strike.at), f"* {strike.words}"

    def of(self, identifier: str, participants: Collection[int]) -> Iterator[tuple[datetime, str]]:
        """What concerned one project or a user who is or was to be in it, and every strike from then on; unordered.

        A change of a user may have raised no run of the project, and that be what is wrong.
        """
        direct = [each for each in self.sent if each.concerns(identifier)]
        users = {*participants, *(user for each in direct for user in each.body.get("user_ids", ()))}
        mine = [each for each in self.sent if each.concerns(identifier) or (not each.project and each.user in users)]
        for each in mine:
            yield self._time(each.at), f"> {each.line()}"
        for strike in self.strikes:
            if direct and strike.at > direct[0].at:
                yield self._time(strike.at), f"* {strike.words}"

    def _time(self, seconds: float) -> datetime:
        return self.begun + timedelta(seconds=seconds)
