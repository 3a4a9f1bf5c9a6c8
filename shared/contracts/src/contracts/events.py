"""The facts that the services tell each other: frozen, past tense, one routing key each.

A consumer ignores fields that it does not know, so a field may be added at any time; a changed meaning is a new
``version``, with an upcast from the one before. No event ever carries a secret.
"""

from collections.abc import Callable, Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar

from pydantic import BaseModel, ConfigDict


class Step(StrEnum):
    """A part of a run that people see."""

    LINK = "link"
    USERS = "users"
    ACTIVE = "active"
    REMOVE = "remove"


class Participant(BaseModel):
    """A user who must have access; each once, with one directory role and the reasons for which they are in."""

    model_config = ConfigDict(frozen=True)

    user_id: int
    email: str
    name: str
    role: str
    reasons: tuple[str, ...] = ()


class Event(BaseModel):
    """What happened to one project in one provisioning run; ``run`` rises with each command on the project."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    routing_key: ClassVar[str]
    version: ClassVar[int] = 1
    upcasts: ClassVar[Mapping[int, Callable[[Mapping[str, Any]], Mapping[str, Any]]]] = {}
    """By older version, what makes its data into the next version's: for events on their way, and in the log."""

    identifier: str
    run: int


class RunRequested(Event):
    """A command of project-api, complete: what a worker needs later, it keeps from here.

    ``deadline_at`` is when the run fails at the latest, whatever it waits for.
    """

    name: str
    tenant_id: int | None
    provider: str
    region: str
    participants: tuple[Participant, ...]
    requested_at: datetime
    deadline_at: datetime


class ProjectCreated(RunRequested):
    """A project was stored; its first run begins."""

    routing_key = "project.created"


class ProvisioningRequested(RunRequested):
    """A further run was asked for: ``reason`` is retry, provision, members, user-sync, repair or resume.

    Users in ``removed`` lose their access; users in ``redo`` are synced afresh, with a new credential. Those in
    ``reread`` are compared with the cloud one by one, for our records of them were seen to be wrong.
    """

    routing_key = "project.provisioning-requested"

    reason: str
    removed: tuple[Participant, ...] = ()
    redo: tuple[int, ...] = ()
    reread: tuple[int, ...] = ()


class SuspensionRequested(RunRequested):
    """Access is to be switched off; the project and its records stay."""

    routing_key = "project.suspension-requested"


class RemovalRequested(RunRequested):
    """The project is to leave the cloud: access revoked, then the cloud project that bears our mark."""

    routing_key = "project.removal-requested"


class ProvisioningCancelled(RunRequested):
    """The run before this one was given up by a person; workers write nothing more for it."""

    routing_key = "project.provisioning-cancelled"

    cancelled_by: str


class LinkEnsured(Event):
    """The cloud project exists and is ours; ``outcome`` is created, adopted or unchanged."""

    routing_key = "link.ensured"

    provider: str
    region: str
    provider_project_id: str
    outcome: str
    calls: int = 0


class LinkSuspended(Event):
    """Nobody reaches the cloud project any more; it still exists."""

    routing_key = "link.suspended"

    provider_project_id: str | None


class LinkRemoved(Event):
    """The cloud project that bore our mark is gone, or never was."""

    routing_key = "link.removed"

    provider_project_id: str | None


class UserSynced(Event):
    """One participant has what was asked; ``changed`` is empty where everything was right already."""

    routing_key = "user.synced"

    user_id: int
    role: str
    changed: tuple[str, ...] = ()
    credential_id: str | None = None


class UserRevoked(Event):
    """One user has no access to the cloud project any more."""

    routing_key = "user.revoked"

    user_id: int


class AccessRevoked(Event):
    """Every user's access that a suspension or removal had to take away is gone; the link's turn."""

    routing_key = "user.access-revoked"


class ProvisioningFailed(Event):
    """A step was given up: for one user where ``user_id`` is set, else for the whole run."""

    routing_key = "provisioning.failed"

    step: Step
    code: str
    message: str
    retryable: bool
    tries: int
    user_id: int | None = None
    email: str | None = None


class ProvisioningDelayed(Event):
    """A step waits: ``code`` says for what (provider, rate, maintenance, retry), ``until`` when it goes on."""

    routing_key = "provisioning.delayed"

    step: Step
    code: str
    message: str
    until: datetime
    attempt: int
    tries: int


class DriftDetected(Event):
    """Cloud and records differ; ``drift`` names each difference per user, or the project's own."""

    routing_key = "project.drift-detected"

    user_id: int | None
    drift: tuple[str, ...]


class OrphanFound(Event):
    """A cloud project bears our mark, but no project of ours should have one; nothing was done to it.

    ``identifier`` is the mark's and ``run`` is 0, for no run made it.
    """

    routing_key = "project.orphan-found"

    provider: str
    region: str
    provider_project_id: str
    name: str


class StatusChanged(Event):
    """The read model moved; for push and long-poll. Not durable: polling is the truth.

    ``picture`` is the JSON of :class:`contracts.status.Picture`; ``steps`` are the steps that moved since the last one.
    """

    routing_key = "status.changed"

    read_version: int
    tenant_id: int | None
    picture: str
    steps: tuple[str, ...] = ()


RECORDED: tuple[type[Event], ...] = (
    ProjectCreated,
    ProvisioningRequested,
    SuspensionRequested,
    RemovalRequested,
    ProvisioningCancelled,
    LinkEnsured,
    LinkSuspended,
    LinkRemoved,
    UserSynced,
    UserRevoked,
    AccessRevoked,
    ProvisioningFailed,
    ProvisioningDelayed,
    DriftDetected,
    OrphanFound,
)
"""Every durable event: what the timeline shows and the read model is folded from."""
