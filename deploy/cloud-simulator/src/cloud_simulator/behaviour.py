"""How the cloud misbehaves: what the operator asked for, and the draws that follow from it."""

import random
from time import monotonic
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from cloud_simulator.errors import Invalid


class Latency(BaseModel):
    """Milliseconds before a call takes effect."""

    model_config = ConfigDict(extra="forbid")

    default: float = Field(default=0, ge=0)
    project: float = Field(default=200, ge=0)
    user: float = Field(default=50, ge=0)


class Behaviour(BaseModel):
    """The whole of what can be asked for; a rate is a share of calls from 0 to 1."""

    model_config = ConfigDict(extra="forbid")

    latency_ms: Latency = Latency()
    error_rate: float = Field(default=0.0, ge=0, le=1)
    error_status: int = Field(default=500, ge=400, le=599)
    rate_limit_per_s: float | None = Field(default=None, gt=0)
    retry_after_s: int = Field(default=1, ge=0)
    hang_rate: float = Field(default=0.0, ge=0, le=1)
    cut_after_success_rate: float = Field(default=0.0, ge=0, le=1)
    fail_emails: list[str] = []
    fail_project_names: list[str] = []
    down: bool = False
    list_shape: Literal["alternate", "bare", "wrapped"] = "alternate"
    login: Literal["ok", "locked", "mfa"] = "ok"
    token_ttl_s: float = Field(default=4 * 3600, ge=0)

    def merged(self, changes: dict[str, Any]) -> "Behaviour":
        """What is left out keeps its value, inside `latency_ms` too. Raises pydantic's ValidationError."""
        fields = self.model_dump()
        if isinstance(latency := changes.get("latency_ms"), dict):
            changes = changes | {"latency_ms": fields["latency_ms"] | latency}
        return Behaviour.model_validate(fields | changes)


class Faults:
    """The behaviour in force. Setting another one begins the rate limit afresh."""

    def __init__(self, behaviour: Behaviour) -> None:
        self.set(behaviour)

    def set(self, behaviour: Behaviour) -> None:
        """In force from the next call on."""
        self.behaviour = behaviour
        self._failing = frozenset(email.casefold() for email in behaviour.fail_emails)
        self._tokens = self._burst = max(1.0, behaviour.rate_limit_per_s or 1.0)
        self._refilled_at = monotonic()

    def admits(self) -> bool:
        """Takes one place under the rate limit: a token bucket that holds one second's worth."""
        rate = self.behaviour.rate_limit_per_s
        if rate is None:
            return True
        now = monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._refilled_at) * rate)
        self._refilled_at = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True

    def refuse_user(self, name: str, email: str) -> None:
        """Raises Invalid for a write to a user that was asked to fail."""
        if self._failing and not self._failing.isdisjoint((name.casefold(), email.casefold())):
            raise Invalid(f"User {name} cannot be changed: refused by the behaviour that was asked for.")

    def refuse_project(self, name: str) -> None:
        """Raises Invalid for a write to a project whose name begins as was asked to fail."""
        if name.startswith(tuple(self.behaviour.fail_project_names)):
            raise Invalid(f"Project {name} cannot be changed: refused by the behaviour that was asked for.")


def strikes(rate: float) -> bool:
    """Whether chance picks this call; certain at 1, so that a test can rely on it."""
    return rate > 0 and random.random() < rate
