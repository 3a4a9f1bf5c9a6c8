"""What the routes of projects answer, for the API's description alone: what is sent is built without them."""

from datetime import datetime
from typing import Any, Literal

from contracts.events import Step
from contracts.status import Failure, Progress, Status, StepPicture, UserStatus
from pydantic import BaseModel, ConfigDict

from project_api.directory.models import Role, Scope, Tenant
from project_api.openapi import examples
from project_api.requests import Json
from project_api.web.paging import Links, Meta

Reason = Literal["explicit", "admin", "tenant", "creator", "client", "owner"]


class Waiting(BaseModel):
    """Why a step waits, until when (null once that has come), and at which try it is."""

    step: Step
    code: str
    message: str
    until: datetime | None
    attempt: int
    tries: int


class Overdue(BaseModel):
    """The running step that takes longer than its share of the 300 s, and why it waits where that is known."""

    step: Step
    since: datetime
    share_seconds: float
    reason: str


class Estimate(BaseModel):
    """Learned from runs of the same provider, region and size: half end at ``earliest``, 95 % at ``latest``."""

    p50_seconds: float
    p95_seconds: float
    runs: int
    earliest: datetime
    latest: datetime


class Actions(BaseModel):
    """What the caller may ask for now."""

    can_provision: bool
    can_retry: bool
    can_cancel: bool
    can_suspend: bool
    can_resume: bool
    can_delete: bool
    can_change_members: bool
    can_sync_user: bool


class Person(BaseModel):
    """A participant, with every reason for which they are in."""

    id: int
    name: str
    email: str
    role: Role
    reasons: list[Reason]


class UserError(BaseModel):
    """Why a user could not be synced."""

    code: str
    message: str


class ProjectUser(Person):
    """A participant and where they stand in the latest run; ``error`` is there for one who failed."""

    status: UserStatus
    error: UserError | None = None


class Times(BaseModel):
    """When the run began, ended, and is likely to end; ``estimate`` is null until enough runs of its kind ended."""

    provisioning_started_at: datetime | None
    provisioning_completed_at: datetime | None
    estimated_completion: datetime
    estimate: Estimate | None


class Named(BaseModel):
    """A project by name; ``id`` is the identifier."""

    id: str
    identifier: str
    name: str
    status: Status


class ResourcesCount(BaseModel):
    """0 where unknown."""

    instances: int
    volumes: int


class Project(Named, Times):
    """A project as lists show it. Where it says ``run``, that is the number of its latest provisioning run."""

    description: str
    provisioning_status: Status
    region: str
    provider: str
    availability_zone: str | None
    tenant_id: int | None
    run: int
    created_at: datetime
    updated_at: datetime
    progress: Progress
    provisioning_progress: list[StepPicture]
    resources_count: ResourcesCount


class WholeProject(Project):
    """A project with its users and all that was sent with it."""

    type: str | None
    assignment_scope: Scope | None
    client_id: int | None
    user_id: int | None
    user_policies: Json
    metadata: Json
    created_by: int
    tenant: Tenant | None
    users: list[ProjectUser]


class Detail(WholeProject):
    """A project in full."""

    error: str | None
    failure: Failure | None
    waiting: Waiting | None
    overdue: Overdue | None
    actions: Actions


class Created(BaseModel):
    """The project is stored and its provisioning begun; with `Prefer: wait=N`, how far it has got by now."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.CREATED]})

    success: Literal[True]
    message: str
    status: Status
    identifier: str
    estimated_completion: datetime
    estimate: Estimate | None
    data: WholeProject
    error: str | None = None
    failure: Failure | None = None


class OneProject(BaseModel):
    """One project in full."""

    success: Literal[True]
    data: Detail


class ProjectList(BaseModel):
    """Projects, page by page; ``meta.total`` is exact to 10,000, then an estimate."""

    success: Literal[True]
    data: list[Project]
    links: Links
    meta: Meta


class Told(BaseModel):
    """How far the latest run has got. ``error`` is a sentence for a person, ``failure`` the same for a program."""

    error: str | None
    failure: Failure | None
    progress: Progress
    waiting: Waiting | None
    overdue: Overdue | None
    run: int
    estimated_completion: datetime
    estimate: Estimate | None
    actions: Actions


class StatusData(Named, Times, Told):
    """The status, for clients that read ``data``."""

    provisioning_progress: list[StepPicture]


class StatusUsers(BaseModel):
    """Every participant of the latest run."""

    local: list[ProjectUser]


class StatusProject(Named, Times):
    """The status, for clients that read ``project``."""

    provisioning_status: Status
    provisioning_progress: list[StepPicture]
    region: str
    provider: str
    availability_zone: str | None
    tenant_id: int | None
    users: StatusUsers
    summary: list[Any]


class StatusAnswer(Told):
    """The status of a project's latest run, at the top, in ``data`` and in ``project``."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.STATUS]})

    success: Literal[True]
    identifier: str
    status: Status
    data: StatusData
    project: StatusProject


class Asked(BaseModel):
    """A run that was asked for, as it stands at its beginning."""

    identifier: str
    status: Status
    run: int
    progress: Progress
    actions: Actions
    estimated_completion: datetime


class AskedProject(Named, Asked):
    """The project whose run was asked for."""

    provisioning_progress: list[StepPicture]
    provisioning_started_at: datetime


class Accepted(Asked):
    """A run has begun; ``…/status`` says how far it gets."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.ACCEPTED]})

    success: Literal[True]
    message: str
    data: AskedProject


class Fixed(BaseModel):
    """A project whose status was derived again."""

    id: str
    identifier: str
    status: Status


class StatusSynced(BaseModel):
    """The status, derived again; ``fixed`` is how many were wrong."""

    success: Literal[True]
    message: str
    fixed: int
    status: Status
    data: Fixed


class StatusesSynced(BaseModel):
    """Statuses, derived again; ``fixed`` is how many were wrong."""

    success: Literal[True]
    message: str
    fixed: int
    data: list[Fixed]
