"""The table of everything that people may ask for: with what, how often, and to what end a project comes by it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from tests.chaos.population import FEWEST_USERS, REGIONS, ROLES, Population

Body = Callable[[Random, Population], Mapping[str, Any]]


@dataclass(frozen=True)
class Operation:
    """One thing to ask for. ``path`` is below `/admin/v1`; {identifier}, {user}, {tenant}, {region} are drawn.

    ``goal`` is the status that a project comes to by the run it begins; None where the last goal stays. ``action`` is
    the word of a status that says whether it is open, ``fitting`` how often it is then drawn for being open.
    """

    name: str
    method: str
    path: str
    weight: int
    body: Body | None = None
    goal: str | None = None
    action: str | None = None
    fitting: float = 1
    fewest_users: int = 1

    @property
    def on_project(self) -> bool:
        return "{identifier}" in self.path


def _members(random: Random, there: Population) -> Mapping[str, Any]:
    return {"user_ids": there.some_users(random)}


def _project(random: Random, there: Population) -> Mapping[str, Any]:
    body: dict[str, Any] = {"name": there.new_name("p"), "region": random.choice(REGIONS)}
    body["user_ids"] = there.some_users(random)
    if there.tenants and random.random() < 0.7:
        body["tenant_id"] = random.choice(there.tenants)
    if there.users and random.random() < 0.2:
        body["client_id"] = random.choice(sorted(there.users))
    return body


def _words(random: Random, _: Population) -> Mapping[str, Any]:
    return {"description": f"of {random.random()}"}


def _some_projects(random: Random, there: Population) -> Mapping[str, Any]:
    return {"identifiers": random.sample(sorted(there.projects), min(3, len(there.projects))) or ["none"]}


def _user(random: Random, there: Population) -> Mapping[str, Any]:
    tenant = random.choice([*there.tenants, None])
    role = "member" if tenant is None else random.choice(ROLES[:3])
    return {"name": there.new_name("U"), "email": there.some_email(random, 0.6), "role": role, "tenant_id": tenant}


def _users(random: Random, there: Population) -> Mapping[str, Any]:
    return {"users": [_user(random, there)]}


def _email(random: Random, there: Population) -> Mapping[str, Any]:
    return {"email": there.some_email(random, 0.35)}


def _role(random: Random, _: Population) -> Mapping[str, Any]:
    return {"role": random.choice(ROLES)}


def _other_tenant(random: Random, there: Population) -> Mapping[str, Any]:
    return {"tenant_id": random.choice([*there.tenants, None])}


def _tenant(_: Random, there: Population) -> Mapping[str, Any]:
    return {"name": there.new_name("t")}


def _why(_: Random, __: Population) -> Mapping[str, Any]:
    return {"reason": "chaos"}


_P, _U, _T = "/projects/{identifier}", "/users/{user}", "/tenants/{tenant}"
_REGION = "/providers/{region}/maintenance"

CREATE = Operation("create", "POST", "/projects", 7, _project, goal="active")
DELETE = Operation("delete", "DELETE", _P, 3)
TENANT = Operation("tenant-create", "POST", "/tenants", 1, _tenant)
USER = Operation("user-create", "POST", "/users", 4, _user)
RETRY = Operation("retry", "POST", f"{_P}/retry-provisioning", 9, action="can_retry")
MAINTENANCE_ENDS = Operation("maintenance-ends", "DELETE", _REGION, 2)

OPERATIONS: Sequence[Operation] = (
    CREATE,
    DELETE,
    TENANT,
    USER,
    RETRY,
    MAINTENANCE_ENDS,
    Operation("members", "PUT", f"{_P}/members", 14, _members, goal="active", action="can_change_members", fitting=2),
    Operation("user-sync", "POST", f"{_P}/users/{{user}}/sync", 6, goal="active", action="can_sync_user"),
    Operation("provision", "POST", f"{_P}/provision", 7, goal="active", action="can_provision"),
    Operation("repair", "POST", f"{_P}/repair", 3, goal="active"),
    Operation("cancel", "POST", f"{_P}/cancel", 7, action="can_cancel", fitting=0.35),
    Operation("suspend", "POST", f"{_P}/suspend", 4, goal="suspended", action="can_suspend", fitting=0.25),
    Operation("archive", "POST", f"{_P}/archive", 4, goal="suspended", action="can_suspend", fitting=0.25),
    Operation("resume", "POST", f"{_P}/resume", 5, goal="active", action="can_resume", fitting=0.5),
    Operation("activate", "POST", f"{_P}/activate", 4, goal="active", action="can_resume", fitting=0.5),
    Operation("patch", "PATCH", _P, 1, _words),
    Operation("put", "PUT", _P, 1, _words),
    Operation("sync-status", "POST", f"{_P}/sync-status", 2),
    Operation("sync-statuses", "POST", "/projects/bulk-sync-status", 1, _some_projects),
    Operation("preview", "POST", f"{_P}/provision-simulated", 1),
    Operation("preview-new", "POST", "/projects/provision-simulated", 1, _project),
    Operation("credential", "GET", f"{_P}/users/{{user}}/credential", 2),
    Operation("user-email", "PATCH", _U, 9, _email),
    Operation("user-role", "PATCH", _U, 7, _role),
    Operation("user-tenant", "PATCH", _U, 3, _other_tenant),
    Operation("user-remove", "DELETE", _U, 3, fewest_users=FEWEST_USERS),
    Operation("user-joins", "POST", f"{_U}/sync-projects", 3),
    Operation("users-import", "POST", "/users/import", 1, _users),
    Operation("tenant-rename", "PATCH", _T, 1, _tenant),
    Operation("tenant-remove", "DELETE", _T, 1),
    Operation("maintenance", "POST", _REGION, 1, _why),
)
BY_NAME: Mapping[str, Operation] = {each.name: each for each in OPERATIONS}
TOGETHER: Sequence[Operation] = tuple(each for each in OPERATIONS if each.on_project and each.weight > 2)
"""Those of which two at once on one project are worth trying."""
