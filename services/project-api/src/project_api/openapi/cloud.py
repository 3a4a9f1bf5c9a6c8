"""What a preview and a look at the cloud answer, for the API's description alone."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from project_api.openapi import examples
from project_api.openapi.projects import Accepted, Person


class Change(BaseModel):
    """What is to be done on the cloud for one user, or for the project itself where ``user_id`` is null.

    ``leaves`` is true for one who is to have no access any more; ``former`` are accounts of theirs that lose it.
    """

    user_id: int | None
    name: str
    actions: list[str] = Field(examples=[["create_user", "grant_role", "issue_key"]])
    calls: int
    leaves: bool = False
    former: list[str] = []


class LearnedEstimate(BaseModel):
    """How long a run may take, learned from runs like it; ``seconds`` stands alone until there are enough."""

    seconds: float | None = None
    p50_seconds: float | None = None
    p95_seconds: float | None = None
    runs: int | None = None


class Planned(BaseModel):
    """Who would be in and why, what would change on the cloud, and with how many calls."""

    participants: list[Person]
    changes: list[Change]
    calls: int
    estimate: LearnedEstimate


class Preview(BaseModel):
    """What a run would do; nothing was changed."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.PREVIEW]})

    success: Literal[True]
    message: str
    data: Planned


class Compared(BaseModel):
    """The cloud against our records."""

    provider: str
    project_exists: bool
    in_sync: bool
    drift: list[Change]


class ComparedProject(Compared):
    """The project, as the cloud has it."""

    id: str
    identifier: str
    region: str
    provider_project_id: str | None
    enabled: bool | None


class Verification(Compared):
    """The cloud against our records, user by user."""

    success: Literal[True]
    message: str
    data: ComparedProject


class Repairing(Accepted):
    """A run has begun that mends what differed."""

    model_config = ConfigDict(json_schema_extra={"examples": [examples.REPAIRING]})

    project_exists: bool
    drift: list[Change]
