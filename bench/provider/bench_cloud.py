"""The benchmark's cloud: one call makes a project, one call gives a user account, role and key."""

from collections.abc import Collection
from urllib.parse import quote

from clouds.errors import Invalid
from clouds.http import RegionHttp
from clouds.naming import link_mark
from clouds.port import (
    AccessKey,
    Capabilities,
    CloudProject,
    Guard,
    ProjectSpec,
    Snapshot,
    UserChange,
    UserOutcome,
    unguarded,
)
from clouds.regions import Region


class BenchCloud:
    """A CloudProvider without reads: the same two calls that the peers make."""

    def __init__(self, region: Region, http: RegionHttp) -> None:
        self._http = http
        self.capabilities = Capabilities(
            bulk_users=False, bulk_grants=False, bulk_keys=False, one_call_per_user=True, roles=region.roles
        )

    async def find_project(self, spec: ProjectSpec) -> CloudProject | None:
        """It cannot be asked; ensure_project is idempotent."""
        return None

    async def ensure_project(self, spec: ProjectSpec, may_write: Guard = unguarded) -> CloudProject:
        may_write()
        answer = await self._http.call("ensure_project", "POST", f"/link?p={quote(spec.identifier)}", repeatable=True)
        answer.expect("make the project", 200)
        return CloudProject(spec.identifier, spec.name, outcome="created", calls=1)

    async def disable_project(self, project_id: str, may_write: Guard = unguarded) -> None:
        raise Invalid("This cloud cannot disable a project.")

    async def delete_project(self, spec: ProjectSpec, may_write: Guard = unguarded) -> str | None:
        return link_mark(spec.identifier)

    async def read_snapshot(self, spec: ProjectSpec, project_id: str, each_of: Collection[str] = ()) -> Snapshot:
        return Snapshot(CloudProject(project_id, spec.name))

    async def sync_user(self, project_id: str, change: UserChange, may_write: Guard = unguarded) -> UserOutcome:
        if change.unchanged:
            return UserOutcome(change.user_id, change.provider_user_id)
        may_write()
        path = f"/users/{change.user_id}?p={quote(project_id)}"
        answer = await self._http.call("sync_user", "POST", path, repeatable=True)
        key = AccessKey(**answer.expect("sync the user", 200).json()["key"])
        return UserOutcome(change.user_id, change.name, change.actions, key, calls=1)

    async def settle_user(self, project_id: str, change: UserChange, may_write: Guard = unguarded) -> int:
        """Its cloud revokes the old key by itself."""
        return 0

    async def aclose(self) -> None:
        await self._http.aclose()
