"""Zadara zCompute: Keystone's ideas with its own paths and shapes. Read, not run; see docs/providers.md."""

import asyncio
import secrets
from collections.abc import Collection, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote, urlencode

from clouds.answers import Answer, listed, text
from clouds.apply import apply_change, settle_change
from clouds.counting import counting_calls
from clouds.ensure import ensure, find_or_create
from clouds.errors import Invalid
from clouds.http import RegionHttp
from clouds.identity import object_in, project_of, user_of
from clouds.naming import cloud_project_name, cloud_user_name, link_mark, marked_identifier
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
from clouds.regions import Region, region_options
from clouds.session import IdentitySession, Once
from clouds.zadara_keys import ZadaraKeys
from clouds.zadara_options import ZadaraOptions

NAME_LIMIT = 64
"""Characters of a project's name: Keystone's, from which zCompute's identity is derived."""


class ZadaraProvider:
    """A CloudProvider, and AccessOperations."""

    def __init__(self, region: Region, http: RegionHttp) -> None:
        self._options = options = region_options(region, ZadaraOptions)
        self.capabilities = Capabilities(
            bulk_grants=False,
            bulk_keys=False,
            max_keys=options.max_keys,
            policies=options.policies,
            one_role_per_account=True,
            member_role=options.member_role,
            roles=region.roles,
        )
        self._account = region.account
        self._api = "" if region.url.rstrip("/").endswith("/api/v2") else "/api/v2"
        self._http = http
        self._session = IdentitySession(http, f"{self._api}/identity/auth", options.scope_project)
        self._keys = ZadaraKeys(http, self._session, options, self._api + options.keys_path)
        self._account_id = Once(self._find_account)

    async def find_project(self, spec: ProjectSpec) -> CloudProject | None:
        mark = link_mark(spec.identifier)
        found = (project_of(item) for item in await self._list_of_account("projects") if _bears(item, mark))
        return min(found, key=lambda project: project.id, default=None)

    async def list_projects(self) -> Mapping[str, CloudProject]:
        marked = ((marked_identifier(_words(item)), item) for item in await self._list_of_account("projects"))
        return {identifier: project_of(item) for identifier, item in marked if identifier}

    async def ensure_project(self, spec: ProjectSpec) -> CloudProject:
        with counting_calls() as calls:
            project, created = await find_or_create(
                partial(self.find_project, spec), partial(self._create_project, spec)
            )
        return CloudProject(project.id, project.name, True, "created" if created else "adopted", calls.made)

    async def disable_project(self, project_id: str) -> None:
        raise Invalid("zCompute cannot disable a project: revoke its users' access instead.")

    async def delete_project(self, spec: ProjectSpec) -> str | None:
        if (project := await self.find_project(spec)) is None:
            return None
        answer = await self._call("delete_project", "DELETE", f"{self._options.projects_path}/{quote(project.id)}")
        answer.expect_or_gone("delete the project", 200, 202, 204)
        return project.id

    async def read_snapshot(self, spec: ProjectSpec, project_id: str, each_of: Collection[str] = ()) -> Snapshot:
        """Two calls whatever the size, grants and keys excluded; two more for each name in ``each_of``."""
        mark = link_mark(spec.identifier)
        with counting_calls() as calls:
            projects, users = await asyncio.gather(self._list_of_account("projects"), self._read_users())
            ours = (item for item in projects if item.get("id") == project_id and _bears(item, mark))
            project = next(map(project_of, ours), None)
            names = frozenset(cloud_user_name(name) for name in each_of)
            if not names:
                return Snapshot(project, users, calls=calls.made)
            known = [users[name] for name in sorted(names & users.keys())]
            roles = await asyncio.gather(*(self.list_roles(project_id, user) for user in known))
            keys = await asyncio.gather(*(self._keys.read(project_id, user.name) for user in known))
        return Snapshot(
            project,
            users,
            {user.id: held for user, held in zip(known, roles, strict=True)},
            None,
            {user.id: held for user, (held, is_whole) in zip(known, keys, strict=True) if is_whole},
            names,
            calls.made,
        )

    async def sync_user(self, project_id: str, change: UserChange) -> UserOutcome:
        async with self._http.turn():
            return await apply_change(self, project_id, change)

    async def settle_user(self, project_id: str, change: UserChange) -> None:
        async with self._http.turn():
            await settle_change(self, project_id, change)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ensure_user(self, name: str) -> CloudUser:
        user, _ = await ensure(partial(self._find_user, name), partial(self._create_user, name))
        return user

    async def grant_role(self, project_id: str, user_id: str, role: str) -> None:
        answer = await self._call("grant_role", "PUT", _role_path(project_id, user_id, role))
        answer.expect(f"grant the role {role}", 200, 201, 204)

    async def revoke_role(self, project_id: str, user_id: str, role: str) -> None:
        answer = await self._call("revoke_role", "DELETE", _role_path(project_id, user_id, role))
        answer.expect_or_gone(f"revoke the role {role}", 200, 204)

    async def list_roles(self, project_id: str, user: CloudUser) -> frozenset[str]:
        query = urlencode({"user.id": user.id})
        path = f"/identity/role_assignments?{query}"
        items = await self._list("list_role_assignments", "role_assignments", path)
        return frozenset(_role_name(item["role"]) for item in items if _is_in(item, project_id))

    async def attach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        answer = await self._call("attach_policy", "PUT", self._policy_path(project_id, user_id, policy))
        answer.expect(f"attach the policy {policy}", 200, 201, 204)

    async def detach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        answer = await self._call("detach_policy", "DELETE", self._policy_path(project_id, user_id, policy))
        answer.expect_or_gone(f"detach the policy {policy}", 200, 204)

    async def issue_key(self, project_id: str, user: CloudUser) -> AccessKey:
        return await self._keys.issue(project_id, user.name)

    async def list_keys(self, project_id: str, user: CloudUser) -> frozenset[str]:
        return await self._keys.list(project_id, user.name)

    async def revoke_key(self, project_id: str, user: CloudUser, key_id: str) -> None:
        await self._keys.revoke(project_id, user.name, key_id)

    async def _call(self, operation: str, method: str, path: str, body: Any = None) -> Answer:
        return await self._session.call(operation, method, self._api + path, body=body)

    async def _list(self, operation: str, collection: str, path: str) -> list[dict[str, Any]]:
        answer = await self._call(operation, "GET", path)
        return listed(answer.expect(f"list {collection}", 200).json(), collection)

    async def _list_of_account(self, collection: str) -> list[dict[str, Any]]:
        query = urlencode({"domain_id": await self._account_id.get()})
        return await self._list(f"list_{collection}", collection, f"/identity/{collection}?{query}")

    async def _find_account(self) -> str:
        """An account is a Keystone domain; the cloud rejects a filter by name, so it is applied here."""
        for item in await self._list("list_domains", "domains", "/identity/domains"):
            if text(item, "name").casefold() == self._account.casefold():
                return text(item, "id")
        raise Invalid(f"The cloud has no account {self._account!r}; correct the region's account.")

    def _policy_path(self, project_id: str, user_id: str, policy: str) -> str:
        return self._options.policy_path.format(
            project=quote(project_id), user=quote(user_id), policy=quote(policy, safe="")
        )

    async def _create_project(self, spec: ProjectSpec) -> CloudProject:
        name = cloud_project_name(spec.name, spec.identifier, NAME_LIMIT)
        body = {"name": name, "description": link_mark(spec.identifier), "domain_id": await self._account_id.get()}
        answer = await self._call("create_project", "POST", self._options.projects_path, body)
        return project_of(object_in(answer.expect("create the project", 200, 201), "project"))

    async def _find_user(self, name: str) -> CloudUser | None:
        return (await self._read_users()).get(name)

    async def _create_user(self, name: str) -> CloudUser:
        """The password is thrown away: access is by key, until an admin sets another one."""
        body = {
            "name": name,
            "email": name,
            "password": f"{secrets.token_urlsafe(24)}aA1!",
            "domain_id": await self._account_id.get(),
            "must_change_password": False,
        }
        answer = await self._call("create_user", "POST", "/identity/users", body)
        return user_of(object_in(answer.expect("create the user", 200, 201), "user"))

    async def _read_users(self) -> dict[str, CloudUser]:
        users = map(user_of, await self._list_of_account("users"))
        return {cloud_user_name(user.name): user for user in users}


def _role_path(project_id: str, user_id: str, role: str) -> str:
    return f"/identity/projects/{quote(project_id)}/users/{quote(user_id)}/roles/{quote(role, safe='')}"


def _is_in(assignment: dict[str, Any], project_id: str) -> bool:
    scope = assignment.get("scope")
    project = scope.get("project") if isinstance(scope, dict) else None
    return isinstance(project, dict) and project.get("id") == project_id and isinstance(assignment.get("role"), dict)


def _role_name(role: dict[str, Any]) -> str:
    """Roles go by name in settings and paths; one that is shown without a name goes by its id."""
    return text(role, "name") if role.get("name") else text(role, "id")


def _bears(item: dict[str, Any], mark: str) -> bool:
    return mark in _words(item)


def _words(item: dict[str, Any]) -> list[object]:
    """Where a mark may be. The description is ours alone, but an admin may have added words to it."""
    description, tags = item.get("description"), item.get("tags")
    words = description.split() if isinstance(description, str) else []
    return [*words, *(tags if isinstance(tags, list) else [])]
