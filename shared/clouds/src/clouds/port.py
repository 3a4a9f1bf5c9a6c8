"""The port that services call a cloud through, and the values that cross it.

``CloudProvider`` is all that a service needs and all that a provider must have. ``AccessOperations`` are the single
steps behind ``sync_user``: a provider that has them gets the careful composition of ``clouds.apply`` for nothing; one
whose cloud does it all in one call leaves them out.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a cloud can do; ``plan`` and the services ask here and never for a provider's name."""

    bulk_grants: bool = True
    """All grants of a project can be read in a constant number of calls."""
    bulk_keys: bool = True
    has_keys: bool = True
    max_keys: int | None = None
    """Keys per user and project; ``None`` is no limit."""
    policies: tuple[str, ...] = ()
    """Policies that every user needs within the project, beside the role."""
    one_role_per_account: bool = False
    """A user's role is the same in every project of the account."""
    can_disable_project: bool = False
    one_call_per_user: bool = False
    """Account, grant and key come from one call."""
    member_role: str = "member"
    """The cloud's plain role, for directory roles that ``roles`` leaves out."""
    roles: Mapping[str, str] = field(default_factory=dict)
    """Directory role (admin, tenant_admin, member) to cloud role, from the region's settings."""

    def cloud_role(self, directory_role: str) -> str:
        return self.roles.get(directory_role, self.member_role)

    @property
    def managed_roles(self) -> frozenset[str]:
        """The cloud roles that we grant; a role beside these that somebody gave a user is left alone."""
        return frozenset((*self.roles.values(), self.member_role))

    def roles_of_former(self, recorded: str | None) -> frozenset[str]:
        """From an account that is ended because it may have access: without a known role it may be any of ours."""
        return self.managed_roles if recorded is None else frozenset((recorded,))


@dataclass(frozen=True, slots=True)
class ProjectSpec:
    """What a cloud project is to be; see ``clouds.naming`` for its name and mark."""

    identifier: str
    name: str
    """The name that the admin gave; the cloud's is made from it."""


@dataclass(frozen=True, slots=True)
class CloudProject:
    """A cloud project that bears our mark; ``outcome`` is created, or adopted where it was there already."""

    id: str
    name: str
    enabled: bool = True
    outcome: str = "adopted"
    calls: int = 0


@dataclass(frozen=True, slots=True)
class CloudUser:
    """An account on the cloud; ``name`` is the e-mail in lower case."""

    id: str
    name: str
    enabled: bool = True


@dataclass(frozen=True, slots=True)
class AccessKey:
    """A credential. The secret is in no ``repr``; it is sealed (``clouds.vault``) before it is stored."""

    id: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A cloud project and its accounts as one moment's reading. ``None`` is "cannot be read": records are trusted."""

    project: CloudProject | None
    users: Mapping[str, CloudUser] | None = None
    """By name, in lower case; every account of ours in the region."""
    roles: Mapping[str, frozenset[str]] | None = None
    """Roles within the project by cloud user id; a user who is not in it has none."""
    policies: Mapping[str, frozenset[str]] | None = None
    keys: Mapping[str, frozenset[str]] | None = None
    """Active keys that UCA may have issued for the project, by cloud user id."""
    read_each: frozenset[str] = frozenset()
    """Names read one by one: where not empty, ``roles`` and ``keys`` say nothing of others."""
    calls: int = 0


@dataclass(frozen=True, slots=True)
class DesiredUser:
    """A participant as the cloud should have them. ``role`` is the cloud's (``Capabilities.cloud_role``)."""

    user_id: int
    email: str
    role: str
    rotate: bool = False
    """Issue a fresh key though one is there: the user's first link to the project, or a sync that asks for it."""


@dataclass(frozen=True, slots=True)
class UserRecord:
    """What we stored of a user in a project after the last success."""

    user_id: int
    email: str
    role: str | None = None
    """``None``: revoked, or never granted."""
    provider_user_id: str | None = None
    key_id: str | None = None
    """The key whose secret is stored; ``None`` where there is none."""
    retired_key_ids: tuple[str, ...] = ()
    """Older keys that are still to be revoked on the cloud."""
    may_have_issued: bool = False
    """An attempt began and its end was not stored: the cloud may hold a key that we do not know."""
    former: "tuple[UserRecord, ...]" = ()
    """Accounts under other e-mails that may still have access, from a change that did not come to its end."""


@dataclass(frozen=True, slots=True)
class KeyChange:
    """What happens to one user's keys: strays go first, then a key is issued, and what it replaces goes at the end."""

    issue: bool = False
    current: str | None = None
    """The key that the user keeps, or keeps until the new one is stored."""
    known: frozenset[str] = frozenset()
    """Keys in our records; any other that is found when we look is a stray."""
    strays: tuple[str, ...] = ()
    """Revoked before a key is issued: nobody has their secret."""
    look: bool = False
    """Strays may be there and could not be read in bulk: list the user's keys first."""
    retire: tuple[str, ...] = ()
    """Revoked by ``settle_user``, once the new key is stored."""


@dataclass(frozen=True, slots=True)
class UserChange:
    """What is to be added, changed or removed for one user: the work order of ``sync_user``, the words of a preview."""

    user_id: int
    name: str
    provider_user_id: str | None = None
    create_user: bool = False
    grant_role: str | None = None
    attach_policies: tuple[str, ...] = ()
    keys: KeyChange = KeyChange()
    revoke_roles: tuple[str, ...] = ()
    detach_policies: tuple[str, ...] = ()
    leaves: bool = False
    """All access to the project is taken away, at once and not only in ``settle_user``."""
    former: tuple[UserRecord, ...] = ()
    """Accounts under other e-mails, whose access ends when this one's is stored; at once where the user leaves."""
    calls: int = 0
    """Calls that this change makes when nothing fails, ``settle_user`` included."""

    @property
    def actions(self) -> tuple[str, ...]:
        """The words of a preview, a report and an event; empty where the user can be reported as unchanged at once."""
        named = (
            ("create_user", self.create_user),
            ("grant_role", self.grant_role),
            ("attach_policy", self.attach_policies),
            ("issue_key", self.keys.issue),
            ("revoke_role", self.revoke_roles),
            ("detach_policy", self.detach_policies),
            ("revoke_key", self.keys.strays or self.keys.retire),
            ("look_for_keys", self.keys.look),
            ("revoke_former_account", self.former),
        )
        return tuple([word for word, wanted in named if wanted])

    @property
    def unchanged(self) -> bool:
        return not self.actions


@dataclass(frozen=True, slots=True)
class UserOutcome:
    """What ``sync_user`` did. ``key`` is to be sealed and stored, then ``settle_user`` revokes what it replaces."""

    user_id: int
    provider_user_id: str | None
    changed: tuple[str, ...] = ()
    key: AccessKey | None = None
    doubtful: bool = False
    """An earlier request for a key got no answer, and may be carried out yet: the keys are to be looked at later."""


class CloudProvider(Protocol):
    """One region of one provider, shared by the whole process. Every method may raise a ``CloudError``."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def find_project(self, spec: ProjectSpec) -> CloudProject | None:
        """The cloud project that bears our mark, if there is one."""
        ...

    async def ensure_project(self, spec: ProjectSpec) -> CloudProject:
        """Find, create, and after a 409 find again; also enables a disabled one.

        Raises Conflict (``name_taken``) where the name is held by a project without our mark: it is never adopted.
        """
        ...

    async def disable_project(self, project_id: str) -> None:
        """Nobody gets in any more; only where ``can_disable_project``, else Invalid is raised."""
        ...

    async def delete_project(self, spec: ProjectSpec) -> str | None:
        """Remove the project that bears our mark, and only such a one; its id, or ``None`` where it is gone already."""
        ...

    async def read_snapshot(self, spec: ProjectSpec, project_id: str, each_of: Collection[str] = ()) -> Snapshot:
        """Project, accounts, grants and keys in a constant number of calls.

        ``each_of`` are cloud user names to be read one by one where the cloud has no bulk read (verify, and the sweep).
        """
        ...

    async def sync_user(self, project_id: str, change: UserChange) -> UserOutcome:
        """Carry out one change; safe to call again after any failure. Old keys stay until ``settle_user``."""
        ...

    async def settle_user(self, project_id: str, change: UserChange) -> None:
        """After the caller stored the outcome: revoke the keys and the former accounts it replaces."""
        ...

    async def aclose(self) -> None: ...


@runtime_checkable
class ProjectListing(Protocol):
    """Where a provider has it, the sweep finds cloud projects that bear our mark and are in no record of ours."""

    async def list_projects(self) -> Mapping[str, CloudProject]:
        """Every project of the account that bears a mark of ours, by the identifier in it."""
        ...


class AccessOperations(Protocol):
    """One user's single steps. Each is idempotent: done already is success, and gone already is success."""

    @property
    def capabilities(self) -> Capabilities: ...

    async def ensure_user(self, name: str) -> CloudUser: ...

    async def grant_role(self, project_id: str, user_id: str, role: str) -> None: ...

    async def revoke_role(self, project_id: str, user_id: str, role: str) -> None: ...

    async def list_roles(self, project_id: str, user: CloudUser) -> frozenset[str]:
        """The user's in the project; asked for only where ``one_role_per_account``."""
        ...

    async def attach_policy(self, project_id: str, user_id: str, policy: str) -> None: ...

    async def detach_policy(self, project_id: str, user_id: str, policy: str) -> None: ...

    async def issue_key(self, project_id: str, user: CloudUser) -> AccessKey:
        """Raises TimeoutUnknown where a key may have been made, and Conflict (``key_limit``) at the cloud's limit."""
        ...

    async def list_keys(self, project_id: str, user: CloudUser) -> frozenset[str]: ...

    async def revoke_key(self, project_id: str, user: CloudUser, key_id: str) -> None: ...
