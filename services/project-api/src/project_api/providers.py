"""The regions' health as the workers report it, and maintenance at an admin's word."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal

from backbone.database import Connection
from clouds.regions import Region
from fastapi import APIRouter, Path, Response
from pydantic import BaseModel, Field

from project_api import audit
from project_api.parts import Caller, CallerDep
from project_api.requests import Body, Text
from project_api.web.answers import Json
from project_api.web.errors import not_found

RECENT_SECONDS = 20
"""A worker that reported no longer than this ago is there."""

WORKERS = ("link-provisioner", "user-syncer")
REPORTS = " UNION ALL ".join(
    f"SELECT '{name}' AS service, h.* FROM {name.replace('-', '_')}.region_health AS h"  # noqa: S608 - our own words
    for name in WORKERS
)
HEALTH = (
    "SELECT service, instance, region, breaker,"  # noqa: S608 - our own words
    " CASE WHEN limited_until > now() THEN limited_until END AS limited_until,"
    f" calls_per_minute, failures_per_minute, seen_at FROM ({REPORTS}) AS reports"
    " WHERE seen_at > now() - make_interval(secs => :recent) ORDER BY service, instance"
)
MAINTENANCE = "SELECT region, reason, begun_by, begun_at FROM maintenance"
RUNS = (
    "SELECT p.region, s.picture -> 'waiting' ->> 'code' AS code, count(*) AS projects FROM projects AS p"
    " LEFT JOIN status_projector.project_status AS s ON s.identifier = p.identifier AND s.run >= p.run"
    " WHERE p.open AND s.finished IS NOT TRUE GROUP BY 1, 2 ORDER BY 3 DESC"
)
BEGIN = (
    "INSERT INTO maintenance (region, reason, begun_by) VALUES (:region, :reason, :by)"
    " ON CONFLICT (region) DO UPDATE SET reason = excluded.reason, begun_by = excluded.begun_by"
)
END = "DELETE FROM maintenance WHERE region = :region"

State = Literal["ok", "limited", "recovering", "failing", "maintenance", "inactive", "unknown"]
Code = Annotated[str, Path(max_length=63, examples=["region-1"])]

router = APIRouter(prefix="/admin/v1/providers", tags=["providers"])


class Worker(BaseModel):
    """One replica's view of a region. While its breaker is open it makes no calls."""

    service: str
    instance: str
    breaker: Literal["closed", "half_open", "open"]
    limited_until: datetime | None
    calls_per_minute: float
    failures_per_minute: float
    seen_at: datetime


class Maintenance(BaseModel):
    """Since when a region is not called, why, and at whose word."""

    reason: str
    begun_by: str
    begun_at: datetime


class WaitingProjects(BaseModel):
    """How many projects wait for one reason."""

    code: str
    projects: int


class RegionHealth(BaseModel):
    """One region. ``state`` is unknown where no worker has reported lately; ``projects`` counts runs that go on."""

    code: str
    name: str
    provider: str
    is_active: bool
    state: State
    maintenance: Maintenance | None
    projects: int
    waiting: list[WaitingProjects]
    calls_per_minute: float
    failures_per_minute: float
    workers: list[Worker]


class Providers(BaseModel):
    """Every configured region."""

    success: bool
    data: list[RegionHealth]


class Switched(BaseModel):
    """The maintenance was begun or ended; workers follow within seconds."""

    success: bool
    message: str


class MaintenanceBody(Body):
    """Why the region is in maintenance, for those whose projects wait."""

    reason: Annotated[Text, Field(max_length=255)] = ""


@router.get("", response_model=Providers)
async def list_providers(caller: CallerDep) -> Response:
    """The health of each region: breaker and rate as the workers see them, maintenance, and what waits."""
    async with caller.reading() as connection:
        reports = await _rows(connection, HEALTH, recent=RECENT_SECONDS)
        maintained = {row["region"]: row for row in await _rows(connection, MAINTENANCE)}
        runs = await _rows(connection, RUNS)
    regions = caller.parts.regions.values()
    data = [_region(region, reports, maintained.get(region.code), runs) for region in regions]
    return Json({"success": True, "data": data})


@router.post("/{region}/maintenance", response_model=Switched)
async def begin_maintenance(caller: CallerDep, region: Code, body: MaintenanceBody) -> Response:
    """Stops all calls on the region: work waits, at no cost of its tries, until the maintenance is ended."""
    found = _known(caller, region)
    async with caller.transaction() as tx:
        await tx.execute(BEGIN, {"region": region, "reason": body.reason, "by": caller.principal.label})
        await audit.record(tx, caller.principal, "maintenance.begun", f"region {region}", reason=body.reason)
    return _switched(f"{found.name} is in maintenance.")


@router.delete("/{region}/maintenance", response_model=Switched)
async def end_maintenance(caller: CallerDep, region: Code) -> Response:
    """Lets the region be called again; what waited goes on within a minute. Safe to repeat."""
    found = _known(caller, region)
    async with caller.transaction() as tx:
        await tx.execute(END, {"region": region})
        await audit.record(tx, caller.principal, "maintenance.ended", f"region {region}")
    return _switched(f"The maintenance of {found.name} has ended.")


async def _rows(connection: Connection, statement: str, **values: Any) -> list[dict[str, Any]]:
    return [dict(row) for row in (await connection.execute(statement, values)).mappings()]


def _known(caller: Caller, region: str) -> Region:
    found = caller.parts.regions.get(region)
    if found is None:
        raise not_found("There is no such region.")
    return found


def _switched(message: str) -> Response:
    return Json({"success": True, "message": message})


def _region(
    region: Region,
    reports: Sequence[Mapping[str, Any]],
    maintenance: Mapping[str, Any] | None,
    runs: Sequence[Mapping[str, Any]],
) -> dict[str, Any]:
    workers = [{k: v for k, v in each.items() if k != "region"} for each in reports if each["region"] == region.code]
    own = [each for each in runs if each["region"] == region.code]
    return {
        "code": region.code,
        "name": region.name,
        "provider": region.provider,
        "is_active": region.is_active,
        "state": state_of(workers, is_active=region.is_active, maintained=maintenance is not None),
        "maintenance": maintenance and {k: v for k, v in maintenance.items() if k != "region"},
        "projects": sum(each["projects"] for each in own),
        "waiting": [{"code": each["code"], "projects": each["projects"]} for each in own if each["code"]],
        "calls_per_minute": sum(each["calls_per_minute"] for each in workers),
        "failures_per_minute": sum(each["failures_per_minute"] for each in workers),
        "workers": workers,
    }


def state_of(workers: Sequence[Mapping[str, Any]], *, is_active: bool, maintained: bool) -> State:
    """The worst of what the workers report, in one word; a person's word goes before theirs."""
    if not is_active:
        return "inactive"
    if maintained:
        return "maintenance"
    breakers = {each["breaker"] for each in workers}
    if "open" in breakers:
        return "failing"
    if "half_open" in breakers:
        return "recovering"
    if any(each["limited_until"] for each in workers):
        return "limited"
    return "ok" if workers else "unknown"
