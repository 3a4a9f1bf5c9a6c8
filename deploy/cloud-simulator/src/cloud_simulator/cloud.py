"""The cloud's own state: accounts, projects, users, and what each user holds within a project.

Pure and synchronous: every method either takes full effect or raises a `Refusal`, so that one event loop makes each
call atomic, as the real cloud's database does.
"""

import json
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from hashlib import sha256
from typing import Any
from uuid import NAMESPACE_DNS, uuid4, uuid5

from cloud_simulator.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized

LINK_MARK = re.compile(r"uca:[A-Za-z0-9_-]+")
ROLES = {"_member_": "_member_"} | {
    name: uuid5(NAMESPACE_DNS, name).hex for name in ("member", "reader", "tenant_admin", "admin")
}
_ROLE_NAMES = {spelling: name for name, role_id in ROLES.items() for spelling in (name, role_id)}


@dataclass(frozen=True, slots=True)
class Account:
    """A Keystone domain. Its id follows from its name, so that it stays the same over restarts."""

    id: str
    name: str


@dataclass(frozen=True, slots=True)
class Project:
    """A cloud project. `document` is its JSON, encoded once because lists are read far more often than written."""

    id: str
    name: str
    account_id: str
    mark: str | None
    document: bytes


@dataclass(frozen=True, slots=True)
class User:
    """A cloud user. The password is kept as a digest only."""

    id: str
    name: str
    email: str
    account_id: str
    password_digest: str
    document: bytes


@dataclass(slots=True)
class Access:
    """What one user holds within one project."""

    role: str | None = None
    policies: set[str] = field(default_factory=set)
    keys: list[str] = field(default_factory=list)

    @property
    def is_effective(self) -> bool:
        """Whether a key works: the role alone gives no access on zCompute, and neither does the policy alone."""
        return self.role is not None and bool(self.policies)


def digest(secret: str) -> str:
    """What is kept of a secret: enough to recognise it, not enough to show it."""
    return sha256(secret.encode()).hexdigest()


def role_name(spelling: str) -> str:
    """The role that a path names by its id or its name. Raises NotFound."""
    if (name := _ROLE_NAMES.get(spelling)) is None:
        raise NotFound(f"Could not find role: {spelling}.")
    return name


class Cloud:
    """All accounts with what is in them."""

    def __init__(self, account_names: list[str]) -> None:
        self.accounts = {
            account.id: account for account in (Account(uuid5(NAMESPACE_DNS, n).hex, n) for n in account_names)
        }
        self.projects: dict[str, dict[str, Project]] = {account_id: {} for account_id in self.accounts}
        self.users: dict[str, dict[str, User]] = {account_id: {} for account_id in self.accounts}
        self.access: dict[str, dict[str, Access]] = {}
        self.duplicates_made = 0
        self._project_by_id: dict[str, Project] = {}
        self._user_by_id: dict[str, User] = {}
        self._names: dict[tuple[str, str, str], str] = {}
        self._marks: Counter[str] = Counter()
        self._projects_of: dict[str, set[str]] = {}

    def account(self, name_or_id: str) -> Account:
        """Raises NotFound."""
        if name_or_id in self.accounts:
            return self.accounts[name_or_id]
        for account in self.accounts.values():
            if account.name.casefold() == name_or_id.casefold():
                return account
        raise NotFound(f"Could not find domain: {name_or_id}.")

    def create_project(self, account_id: str, name: str, description: str, tags: list[str]) -> Project:
        """A name is unique in its account whatever its case: Conflict. A second project of one link mark is counted."""
        self._claim("project", account_id, name)
        found = LINK_MARK.search(" ".join([description, *tags]))
        shown = {"name": name, "domain_id": account_id, "description": description, "tags": tags, "enabled": True}
        project_id = uuid4().hex
        project = Project(project_id, name, account_id, found and found[0], _document(project_id, shown))
        if project.mark:
            self.duplicates_made += self._marks[project.mark] > 0
            self._marks[project.mark] += 1
        self._names["project", account_id, name.casefold()] = project_id
        self.projects[account_id][project_id] = self._project_by_id[project_id] = project
        self.access[project_id] = {}
        return project

    def project(self, project_id: str, account_id: str | None = None) -> Project:
        """Raises NotFound, and Forbidden for a project of another account than `account_id`."""
        if (project := self._project_by_id.get(project_id)) is None:
            raise NotFound(f"Could not find project: {project_id}.")
        if account_id not in (None, project.account_id):
            raise Forbidden("The token is scoped to another account.")
        return project

    def find_project(self, account_id: str, name: str) -> Project:
        """Raises NotFound."""
        return self.project(self._names.get(("project", account_id, name.casefold()), name), account_id)

    def delete_project(self, project: Project) -> list[str]:
        """Drops the grants and policies within; answers the access keys that have lost their project."""
        keys: list[str] = []
        for user_id, access in self.access.pop(project.id).items():
            keys += access.keys
            self._projects_of[user_id].discard(project.id)
        if project.mark:
            self._marks[project.mark] -= 1
        del self._names["project", project.account_id, project.name.casefold()]
        del self.projects[project.account_id][project.id], self._project_by_id[project.id]
        return keys

    def create_user(self, account_id: str, name: str, email: str, password: str, project_id: str | None) -> User:
        """A name is unique in its account whatever its case: Conflict."""
        self._claim("user", account_id, name)
        user_id = uuid4().hex
        shown = {"name": name, "email": email, "domain_id": account_id, "default_project_id": project_id}
        user = User(user_id, name, email, account_id, digest(password), _document(user_id, shown | {"enabled": True}))
        self._names["user", account_id, name.casefold()] = user_id
        self.users[account_id][user_id] = self._user_by_id[user_id] = user
        self._projects_of[user_id] = set()
        return user

    def user(self, user_id: str, account_id: str | None = None) -> User:
        """Raises NotFound, and Forbidden for a user of another account than `account_id`."""
        if (user := self._user_by_id.get(user_id)) is None:
            raise NotFound(f"Could not find user: {user_id}.")
        if account_id not in (None, user.account_id):
            raise Forbidden("The token is scoped to another account.")
        return user

    def find_user(self, account_id: str, name_or_id: str) -> User:
        """Raises NotFound."""
        return self.user(self._names.get(("user", account_id, name_or_id.casefold()), name_or_id), account_id)

    def set_password(self, user: User, password: str) -> None:
        """Takes the place of the old password at once."""
        changed = replace(user, password_digest=digest(password))
        self.users[user.account_id][user.id] = self._user_by_id[user.id] = changed

    def delete_user(self, user: User) -> list[str]:
        """Drops the user's grants and policies; answers the access keys that have lost their user."""
        keys: list[str] = []
        for project_id in self._projects_of.pop(user.id):
            keys += self.access[project_id].pop(user.id).keys
        del self._names["user", user.account_id, user.name.casefold()]
        del self.users[user.account_id][user.id], self._user_by_id[user.id]
        return keys

    def hold(self, project: Project, user: User) -> Access:
        """The user's place in the project, made where there is none. Raises Invalid over two accounts."""
        if project.account_id != user.account_id:
            raise Invalid("The user and the project are in different accounts.")
        self._projects_of[user.id].add(project.id)
        return self.access[project.id].setdefault(user.id, Access())

    def held(self, user: User) -> Iterator[tuple[str, Access]]:
        """Each project that the user has a place in."""
        return ((project_id, self.access[project_id][user.id]) for project_id in self._projects_of[user.id])

    def grant(self, project: Project, user: User, role: str) -> None:
        """Repeatable. A user has one role per account, so another role than before takes its place everywhere."""
        self.hold(project, user).role = role
        for _, access in self.held(user):
            access.role = role if access.role else None

    def revoke(self, project: Project, user: User, role: str) -> None:
        """Raises NotFound where the user does not have that role there."""
        access = self.access[project.id].get(user.id)
        if access is None or access.role != role:
            raise NotFound(f"Could not find role assignment with role: {role}, user: {user.id}.")
        access.role = None

    def detach_policy(self, project: Project, user: User, policy: str) -> None:
        """Raises NotFound where it is not attached."""
        access = self.access[project.id].get(user.id)
        if access is None or policy not in access.policies:
            raise NotFound(f"Could not find policy {policy} attached to user: {user.id}.")
        access.policies.discard(policy)

    def verify_password(self, account_id: str, name_or_id: str, password: str) -> User:
        """Raises Unauthorized, with the same words for a wrong name and a wrong password."""
        user_id = self._names.get(("user", account_id, name_or_id.casefold()), name_or_id)
        user = self._user_by_id.get(user_id)
        if user is None or user.password_digest != digest(password):
            raise Unauthorized("The request you have made requires authentication.")
        return user

    def _claim(self, kind: str, account_id: str, name: str) -> None:
        if (kind, account_id, name.casefold()) in self._names:
            raise Conflict(f"Conflict occurred attempting to store {kind}: {name} already exists.")


def _document(object_id: str, shown: dict[str, Any]) -> bytes:
    return json.dumps({"id": object_id} | shown).encode()
