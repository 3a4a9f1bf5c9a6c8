"""OpenStack Keystone v3. Every call below was seen on a real Keystone 30.0.0; see docs/providers.md."""

import asyncio
import json
import secrets
from collections.abc import Collection, Iterable, Mapping
from functools import partial
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel, ConfigDict

from clouds.answers import Answer, text
from clouds.apply import apply_change, settle_change
from clouds.counting import counting_calls
from clouds.ensure import ensure, find_or_create
from clouds.errors import Invalid
from clouds.http import RegionHttp
from clouds.identity import object_in, project_of, user_of
from clouds.keystone_lists import KeystoneLists
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

NAME_LIMIT = 64
"""Characters of a project's name."""
KEY_PREFIX = "uca"
"""Begins every access id that we choose, which tells our keys from those that users made for themselves."""


class KeystoneOptions(BaseModel):
    """A region's ``options``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    scope_project: str | None = None
    """The project to which our account's token is scoped; without it, it is scoped to the account."""


class KeystoneProvider:
    """A CloudProvider, and AccessOperations."""

    def __init__(self, region: Region, http: RegionHttp) -> None:
        options = region_options(region, KeystoneOptions)
        self.capabilities = Capabilities(can_disable_project=True, roles=region.roles)
        self._account = region.account
        self._v3 = "" if region.url.rstrip("/").endswith("/v3") else "/v3"
        self._http = http
        self._session = IdentitySession(http, f"{self._v3}/auth/tokens", options.scope_project)
        self._lists = KeystoneLists(self._session, self._v3)
        self._domain_id = Once(self._find_domain)
        self._role_ids = Once(self._read_roles)

    async def find_project(self, spec: ProjectSpec) -> CloudProject | None:
        """By tag, which Keystone looks for among its first 1,000 projects only; else by name, else among all."""
        mark, domain_id = link_mark(spec.identifier), await self._domain_id.get()
        found, is_cut = await self._lists.page("projects", domain_id=domain_id, tags=mark)
        if is_cut and not found:
            named = cloud_project_name(spec.name, spec.identifier, NAME_LIMIT)
            found = _marked(await self._lists.whole("projects", domain_id=domain_id, name=named), mark)
            found = found or _marked(await self._lists.pages("projects", domain_id=domain_id), mark)
        return min(map(project_of, found), key=lambda project: project.id, default=None)

    async def list_projects(self) -> Mapping[str, CloudProject]:
        found = await self._lists.pages("projects", domain_id=await self._domain_id.get())
        marked = ((marked_identifier(item.get("tags") or ()), item) for item in found)
        return {identifier: project_of(item) for identifier, item in marked if identifier}

    async def ensure_project(self, spec: ProjectSpec) -> CloudProject:
        with counting_calls() as calls:
            project, created = await find_or_create(
                partial(self.find_project, spec), partial(self._create_project, spec)
            )
            if not project.enabled:
                await self._set_enabled(project.id, enabled=True)
        return CloudProject(project.id, project.name, True, "created" if created else "adopted", calls.made)

    async def disable_project(self, project_id: str) -> None:
        await self._set_enabled(project_id, enabled=False)

    async def delete_project(self, spec: ProjectSpec) -> str | None:
        """Keystone drops the project's assignments and keys with it."""
        if (project := await self.find_project(spec)) is None:
            return None
        answer = await self._call("delete_project", "DELETE", f"/projects/{quote(project.id)}")
        answer.expect_or_gone("delete the project", 204)
        return project.id

    async def read_snapshot(self, spec: ProjectSpec, project_id: str, each_of: Collection[str] = ()) -> Snapshot:
        """Four calls whatever the size; ``each_of`` is not needed, since all can be read in bulk."""
        with counting_calls() as calls:
            project, users, roles, keys = await asyncio.gather(
                self._read_project(spec, project_id),
                self._read_users(),
                self._read_assignments(project_id),
                self._read_keys(project_id),
            )
        return Snapshot(project, users, roles, None, keys, calls=calls.made)

    async def sync_user(self, project_id: str, change: UserChange) -> UserOutcome:
        async with self._http.turn():
            return await apply_change(self, project_id, change)

    async def settle_user(self, project_id: str, change: UserChange) -> None:
        async with self._http.turn():
            await settle_change(self, project_id, change)

    async def aclose(self) -> None:
        await self._http.aclose()

    async def ensure_user(self, name: str) -> CloudUser:
        """Made without a password: nobody can log in by one until the user or an admin sets it."""
        user, _ = await ensure(partial(self._find_user, name), partial(self._create_user, name))
        return user

    async def grant_role(self, project_id: str, user_id: str, role: str) -> None:
        answer = await self._call("grant_role", "PUT", await self._role_path(project_id, user_id, role))
        if answer.status == 404:
            self._role_ids.forget()  # it may have been made anew
        answer.expect(f"grant the role {role}", 204)

    async def revoke_role(self, project_id: str, user_id: str, role: str) -> None:
        answer = await self._call("revoke_role", "DELETE", await self._role_path(project_id, user_id, role))
        answer.expect_or_gone(f"revoke the role {role}", 204)

    async def list_roles(self, project_id: str, user: CloudUser) -> frozenset[str]:
        return (await self._read_assignments(project_id)).get(user.id, frozenset())

    async def attach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        raise Invalid("Keystone knows no policies of users.")

    async def detach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        raise Invalid("Keystone knows no policies of users.")

    async def issue_key(self, project_id: str, user: CloudUser) -> AccessKey:
        """The key is chosen here, so it can be sent again after a lost answer: 409 says that it is there."""
        key = AccessKey(KEY_PREFIX + secrets.token_hex(15)[1:], secrets.token_hex(16))
        blob = json.dumps({"access": key.id, "secret": key.secret})
        body = {"credential": {"type": "ec2", "user_id": user.id, "project_id": project_id, "blob": blob}}
        answer = await self._call("issue_key", "POST", "/credentials", body=body, repeatable=True)
        answer.expect("issue a key", 201, 409)
        return key

    async def list_keys(self, project_id: str, user: CloudUser) -> frozenset[str]:
        credentials = await self._lists.whole("credentials", type="ec2", user_id=user.id)
        return _our_keys(credentials, project_id).get(user.id, frozenset())

    async def revoke_key(self, project_id: str, user: CloudUser, key_id: str) -> None:
        path = f"/users/{quote(user.id)}/credentials/OS-EC2/{quote(key_id)}"
        (await self._call("revoke_key", "DELETE", path)).expect_or_gone("revoke a key", 204)

    async def _call(
        self, operation: str, method: str, path: str, body: Any = None, repeatable: bool | None = None
    ) -> Answer:
        return await self._session.call(operation, method, self._v3 + path, body=body, repeatable=repeatable)

    async def _find_domain(self) -> str:
        found = await self._lists.whole("domains", name=self._account)
        if not found:
            raise Invalid(f"The cloud has no domain {self._account!r}; correct the region's account.")
        return text(found[0], "id")

    async def _read_roles(self) -> dict[str, str]:
        return {text(role, "name"): text(role, "id") for role in await self._lists.whole("roles")}

    async def _role_path(self, project_id: str, user_id: str, role: str) -> str:
        role_id = (await self._role_ids.get()).get(role)
        if role_id is None:
            self._role_ids.forget()  # it may be made later
            raise Invalid(f"The cloud has no role {role!r}; correct the region's roles, or create it.")
        return f"/projects/{quote(project_id)}/users/{quote(user_id)}/roles/{quote(role_id)}"

    async def _create_project(self, spec: ProjectSpec) -> CloudProject:
        name = cloud_project_name(spec.name, spec.identifier, NAME_LIMIT)
        project = {"name": name, "domain_id": await self._domain_id.get(), "tags": [link_mark(spec.identifier)]}
        answer = await self._call("create_project", "POST", "/projects", body={"project": project})
        return project_of(object_in(answer.expect("create the project", 201), "project"))

    async def _set_enabled(self, project_id: str, *, enabled: bool) -> None:
        body = {"project": {"enabled": enabled}}
        answer = await self._call("set_enabled", "PATCH", f"/projects/{quote(project_id)}", body=body)
        answer.expect("switch the project on or off", 200)

    async def _read_project(self, spec: ProjectSpec, project_id: str) -> CloudProject | None:
        answer = await self._call("read_project", "GET", f"/projects/{quote(project_id)}")
        if answer.is_gone:
            return None
        item = object_in(answer.expect("read the project", 200), "project")
        return project_of(item) if link_mark(spec.identifier) in (item.get("tags") or ()) else None

    async def _find_user(self, name: str) -> CloudUser | None:
        found = await self._lists.whole("users", name=name, domain_id=await self._domain_id.get())
        return user_of(found[0]) if found else None

    async def _create_user(self, name: str) -> CloudUser:
        user = {"name": name, "email": name, "domain_id": await self._domain_id.get()}
        answer = await self._call("create_user", "POST", "/users", body={"user": user})
        return user_of(object_in(answer.expect("create the user", 201), "user"))

    async def _read_users(self) -> dict[str, CloudUser]:
        """By name in lower case; where a case-sensitive Keystone has several, the one written so wins."""
        users = [user_of(item) for item in await self._lists.pages("users", domain_id=await self._domain_id.get())]
        by_name = {cloud_user_name(user.name): user for user in users}
        return by_name | {user.name: user for user in users if user.name in by_name}

    async def _read_assignments(self, project_id: str) -> dict[str, frozenset[str]]:
        query = {"scope.project.id": project_id, "include_names": "1"}
        roles: dict[str, frozenset[str]] = {}
        for item in await self._lists.whole("role_assignments", **query):
            if isinstance(user := item.get("user"), dict) and isinstance(role := item.get("role"), dict):
                user_id = text(user, "id")
                roles[user_id] = roles.get(user_id, frozenset()) | {text(role, "name")}
        return roles

    async def _read_keys(self, project_id: str) -> dict[str, frozenset[str]]:
        return _our_keys(await self._lists.whole("credentials", type="ec2"), project_id)


def _our_keys(credentials: Iterable[dict[str, Any]], project_id: str) -> dict[str, frozenset[str]]:
    """Access ids by user; Keystone ignores a filter by project, so it is applied here."""
    keys: dict[str, frozenset[str]] = {}
    for item in credentials:
        if item.get("project_id") != project_id:
            continue
        access = _access_id(item.get("blob"))
        if access and access.startswith(KEY_PREFIX):
            user_id = text(item, "user_id")
            keys[user_id] = keys.get(user_id, frozenset()) | {access}
    return keys


def _access_id(blob: object) -> str | None:
    """``None`` for what another client stored in a shape of its own."""
    try:
        access = json.loads(blob)["access"] if isinstance(blob, str) else None
    except (ValueError, KeyError, TypeError):
        return None
    return access if isinstance(access, str) else None


def _marked(projects: Iterable[dict[str, Any]], mark: str) -> list[dict[str, Any]]:
    return [item for item in projects if mark in (item.get("tags") or ())]
