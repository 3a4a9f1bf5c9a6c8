"""What the API answers, as far as this client reads it; fields that it does not know are kept for --json."""

from datetime import datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ConfigDict


class _Answer(BaseModel):
    model_config = ConfigDict(extra="allow")


class Progress(_Answer):
    """How far a run is; ``percent`` is 100 only when the project is active."""

    percent: int
    completed: int
    total: int
    message: str


class Step(_Answer):
    """A part of a run: its status is not_started, pending (runs now), completed or failed."""

    id: str
    label: str
    status: str
    updated_at: datetime | None = None


class UserFailure(_Answer):
    """Why a user's sync failed."""

    code: str | None
    message: str | None


class Participant(_Answer):
    """A user of a project; ``status`` is where they stand in its latest run."""

    id: int
    name: str
    email: str
    role: str
    status: str
    reasons: list[str] = []
    error: UserFailure | None = None


class Project(_Answer):
    """A project as lists show it."""

    identifier: str
    name: str
    status: str
    region: str
    tenant_id: int | None = None
    created_at: datetime
    progress: Progress


class Created(_Answer):
    """The answer to a create."""

    identifier: str
    status: str
    message: str
    estimated_completion: datetime | None = None


class _Local(_Answer):
    local: list[Participant]


class _Told(_Answer):
    name: str
    region: str
    provisioning_progress: list[Step]
    users: _Local


class Failure(_Answer):
    """Why a run failed, as a word for a program."""

    code: str | None = None


class Status(_Answer):
    """How far a project's latest run is."""

    identifier: str
    status: str
    run: int
    error: str | None
    failure: Failure | None = None
    progress: Progress
    actions: dict[str, bool]
    project: _Told
    waiting: dict[str, Any] | None = None
    estimated_completion: datetime | None = None

    @property
    def is_final(self) -> bool:
        """Whether the run has ended. A removal shows as suspended with nothing open until the project is gone."""
        if self.status == "suspended":
            return any(self.actions.values())
        return self.status in ("active", "failed")


class Verification(_Answer):
    """The cloud's state against what should be there."""

    message: str
    provider: str
    project_exists: bool
    in_sync: bool
    drift: list[dict[str, Any]]


class Chosen(_Answer):
    """A participant of a preview."""

    id: int
    email: str
    role: str
    reasons: list[str]


class Preview(_Answer):
    """What a run would do: who would be in and why, and what would change on the cloud."""

    participants: list[Chosen]
    changes: list[dict[str, Any]]
    calls: int


class Credential(_Answer):
    """A user's credential on the cloud."""

    access_key: str
    secret_key: str
    region: str
    provider: str


class Event(_Answer):
    """One event of a project, in words."""

    type: str
    time: datetime
    run: int
    message: str


class User(_Answer):
    """A user of the directory."""

    id: int
    name: str
    email: str
    role: str
    tenant_id: int | None


class Tenant(_Answer):
    """A tenant."""

    id: int
    name: str


class Letter(_Answer):
    """A dead letter. Its name here is ``service/id``."""

    service: str
    id: int
    type: str
    project: str
    reason: str
    error: str
    tries: int
    state: str
    parked_at: datetime

    @property
    def name(self) -> str:
        return f"{self.service}/{self.id}"


class Done(_Answer):
    """A command that was accepted."""

    message: str


Item = TypeVar("Item", bound=BaseModel)


class Meta(_Answer):
    """Where a page is among all of them."""

    current_page: int
    last_page: int
    total: int


class Page(_Answer, Generic[Item]):
    """One page of a list."""

    data: list[Item]
    meta: Meta


class One(_Answer, Generic[Item]):
    """An answer with one thing in it."""

    data: Item
