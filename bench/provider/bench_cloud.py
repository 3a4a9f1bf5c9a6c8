"""The benchmark's cloud. One call makes a project; a user takes one call for all, or four as on zCompute."""

from collections.abc import Collection
from typing import Any
from urllib.parse import quote

from clouds.apply import apply_change, settle_change
from clouds.errors import Invalid
from clouds.http import RegionHttp
from clouds.naming import link_mark
from clouds.port import (
    AccessKey,
    Capabilities,
    CloudProject,
    CloudUser,
    ProjectSpec,
    Snapshot,
    UserChange,
    UserOutcome,
)
from clouds.regions import Region


class BenchCloud:
    """A CloudProvider without reads: the same two calls that the peers make."""

    def __init__(self, region: Region, http: RegionHttp) -> None:
        self._http = http
        self.capabilities = Capabilities(bulk_grants=False, bulk_keys=False, one_call_per_user=True, roles=region.roles)

    async def find_project(self, spec: ProjectSpec) -> CloudProject | None:
        """It cannot be asked; ensure_project is idempotent."""
        return None

    async def ensure_project(self, spec: ProjectSpec) -> CloudProject:
        answer = await self._http.call("ensure_project", "POST", f"/link?p={quote(spec.identifier)}", repeatable=True)
        answer.expect("make the project", 200)
        return CloudProject(spec.identifier, spec.name, outcome="created", calls=1)

    async def disable_project(self, project_id: str) -> None:
        raise Invalid("This cloud cannot disable a project.")

    async def delete_project(self, spec: ProjectSpec) -> str | None:
        return link_mark(spec.identifier)

    async def read_snapshot(self, spec: ProjectSpec, project_id: str, each_of: Collection[str] = ()) -> Snapshot:
        return Snapshot(CloudProject(project_id, spec.name))

    async def sync_user(self, project_id: str, change: UserChange) -> UserOutcome:
        if change.unchanged:
            return UserOutcome(change.user_id, change.provider_user_id)
        path = f"/users/{change.user_id}?p={quote(project_id)}"
        answer = await self._http.call("sync_user", "POST", path, repeatable=True)
        key = AccessKey(**answer.expect("sync the user", 200).json()["key"])
        return UserOutcome(change.user_id, change.name, change.actions, key)

    async def settle_user(self, project_id: str, change: UserChange) -> None:
        """Its cloud revokes the old key by itself."""

    async def aclose(self) -> None:
        await self._http.aclose()


class ZComputeWay(BenchCloud):
    """Account, role, policy and key are a call each, put together as the real provider has it (``clouds.apply``)."""

    def __init__(self, region: Region, http: RegionHttp) -> None:
        super().__init__(region, http)
        self.capabilities = Capabilities(bulk_grants=False, bulk_keys=False, policies=("AllowAll",), roles=region.roles)

    async def sync_user(self, project_id: str, change: UserChange) -> UserOutcome:
        return await apply_change(self, project_id, change)

    async def settle_user(self, project_id: str, change: UserChange) -> None:
        await settle_change(self, project_id, change)

    async def ensure_user(self, name: str) -> CloudUser:
        await self._step("account", name)
        return CloudUser(name, name)

    async def grant_role(self, project_id: str, user_id: str, role: str) -> None:
        await self._step("grant", user_id, project_id)

    async def revoke_role(self, project_id: str, user_id: str, role: str) -> None:
        await self._step("revoke", user_id, project_id)

    async def list_roles(self, project_id: str, user: CloudUser) -> frozenset[str]:
        return frozenset()

    async def attach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        await self._step("attach", user_id, project_id)

    async def detach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        await self._step("detach", user_id, project_id)

    async def issue_key(self, project_id: str, user: CloudUser) -> AccessKey:
        return AccessKey(**(await self._step("key", user.id, project_id))["key"])

    async def list_keys(self, project_id: str, user: CloudUser) -> frozenset[str]:
        await self._step("keys", user.id, project_id)
        return frozenset()

    async def revoke_key(self, project_id: str, user: CloudUser, key_id: str) -> None:
        await self._step("no-key", user.id, project_id)

    async def _step(self, step: str, user: str, project_id: str = "") -> Any:
        path = f"/users/{quote(user)}/{step}?p={quote(project_id)}"
        answer = await self._http.call(step, "POST", path, repeatable=True)
        return answer.expect(f"{step} of the user", 200).json()
