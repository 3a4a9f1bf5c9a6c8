"""The words of the read model, and the picture of a run that has only been asked for.

project-api shows the opening picture until status-projector has folded the run's first event, so both must agree on it.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from contracts.events import (
    ProjectCreated,
    ProvisioningCancelled,
    ProvisioningRequested,
    RemovalRequested,
    RunRequested,
    Step,
    SuspensionRequested,
)


class Status(StrEnum):
    """What a project is, in one word."""

    PENDING = "pending"
    PROVISIONING = "provisioning"
    ACTIVE = "active"
    FAILED = "failed"
    SUSPENDED = "suspended"


class StepStatus(StrEnum):
    """``pending`` runs now: the frontend draws its spinner for this word; ``not_started`` waits."""

    NOT_STARTED = "not_started"
    PENDING = "pending"
    COMPLETED = "completed"
    FAILED = "failed"


class UserStatus(StrEnum):
    """Where one participant stands in the latest run."""

    NOT_STARTED = "not_started"
    PENDING = "pending"
    SYNCED = "synced"
    FAILED = "failed"
    REVOKED = "revoked"


class Kind(StrEnum):
    """What a run is for."""

    PROVISION = "provision"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    REMOVE = "remove"


KINDS: Mapping[type[RunRequested], Kind] = {
    ProjectCreated: Kind.PROVISION,
    ProvisioningRequested: Kind.PROVISION,
    ProvisioningCancelled: Kind.CANCEL,
    SuspensionRequested: Kind.SUSPEND,
    RemovalRequested: Kind.REMOVE,
}
"""What the run is for that an event asks for."""


class Progress(BaseModel):
    """``completed`` of ``total`` units: one for the link, one a user, one for active. 100 only when active."""

    model_config = ConfigDict(frozen=True)

    percent: int
    completed: int
    total: int
    message: str


class StepPicture(BaseModel):
    """One step as people see it."""

    model_config = ConfigDict(frozen=True)

    id: Step
    label: str
    status: StepStatus
    updated_at: datetime | None = None


class FailedUser(BaseModel):
    """Whom a failure concerns."""

    model_config = ConfigDict(frozen=True)

    id: int
    email: str


class Failure(BaseModel):
    """What failed, in terms that a client can act on."""

    model_config = ConfigDict(frozen=True)

    step: Step
    code: str
    user: FailedUser | None
    retryable: bool
    tries: int


class Waiting(BaseModel):
    """Why a step waits, until when, and at which try it is."""

    model_config = ConfigDict(frozen=True)

    step: Step
    code: str
    message: str
    until: datetime
    attempt: int
    tries: int


class Picture(BaseModel):
    """The status of one run, complete: a pure function of the run's events.

    ``started_at`` is the database's time of the request, ``completed_at`` that of the event which ended the run.
    """

    model_config = ConfigDict(frozen=True)

    status: Status
    kind: Kind
    error: str | None = None
    failure: Failure | None = None
    progress: Progress
    steps: tuple[StepPicture, ...]
    waiting: Waiting | None = None
    started_at: datetime | None = None
    completed_at: datetime | None = None


class Label(NamedTuple):
    """A step's words before it is done."""

    step: Step
    words: str


LABELS: Sequence[Label] = (
    Label(Step.LINK, "Link cloud project"),
    Label(Step.USERS, "Sync users"),
    Label(Step.ACTIVE, "Project active"),
)

OPENING_MESSAGES: dict[Kind, str] = {
    Kind.PROVISION: "Linking the cloud project…",
    Kind.CANCEL: "Cancelled.",
    Kind.SUSPEND: "Suspending…",
    Kind.REMOVE: "Removing…",
}


def opening_picture(kind: Kind, participants: int, started_at: datetime) -> Picture:
    """The picture of a run of which nothing is known but the request. A removal shows as suspended from the start."""
    first = StepStatus.PENDING if kind is Kind.PROVISION else StepStatus.NOT_STARTED
    steps = tuple(
        StepPicture(id=step, label=words, status=first if step is Step.LINK else StepStatus.NOT_STARTED)
        for step, words in LABELS
    )
    return Picture(
        status=Status.SUSPENDED if kind is Kind.REMOVE else Status.PROVISIONING,
        kind=kind,
        progress=Progress(percent=0, completed=0, total=participants + 2, message=OPENING_MESSAGES[kind]),
        steps=steps,
        started_at=started_at,
    )


SIZE_CLASSES: Sequence[tuple[int, str]] = ((10, "1-10"), (50, "11-50"), (200, "51-200"), (1000, "201-1000"))


def size_class(participants: int) -> str:
    """Runs of one size class take about as long as each other: what an estimate is learned from, and looked up by."""
    return next((name for most, name in SIZE_CLASSES if participants <= most), "1001+")
