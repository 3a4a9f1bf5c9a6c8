"""What was found once all was quiet, as plain values. Pure: who reads it is `reading`."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

MARK = "uca:"
"""Before the identifier, in what a cloud project of ours bears."""


@dataclass(frozen=True)
class Access:
    """What one account has in one cloud project."""

    role: str | None = None
    policies: frozenset[str] = frozenset()
    keys: tuple[str, ...] = ()


@dataclass(frozen=True)
class CloudProject:
    """``access`` is by e-mail, in small letters; who has nothing is not in it."""

    id: str
    access: Mapping[str, Access] = field(default_factory=dict)


@dataclass(frozen=True)
class Credential:
    """What was handed out for one user, and what the cloud said of it; only ``status`` where nothing was."""

    status: int
    opens: bool = False
    email: str = ""
    cloud_project: str = ""


@dataclass(frozen=True)
class Seen:
    """One project of the list, as each route shows it, and every cloud project of its mark."""

    listed: Mapping[str, Any]
    detail: Mapping[str, Any]
    status: Mapping[str, Any]
    events: Sequence[Mapping[str, Any]]
    """Newest first."""
    cloud: tuple[CloudProject, ...] = ()
    credentials: Mapping[int, Credential] = field(default_factory=dict)
    verification: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class World:
    """Everything that the oracle compares with what was expected."""

    seen: Mapping[str, Seen]
    total: int
    """How many projects the list says there are."""
    directory: Mapping[int, Mapping[str, Any]]
    strangers: Mapping[str, tuple[CloudProject, ...]] = field(default_factory=dict)
    """Cloud projects by mark, of which the list knows nothing."""
    doubled_accounts: tuple[str, ...] = ()
    doubled_effects: int = 0
    left: Mapping[str, int] = field(default_factory=dict)
    """What is unfinished, by where."""
    parked: int = 0
    refailed: Mapping[str, str] = field(default_factory=dict)
    """Projects that failed on a cloud that was well, with the reason."""


@dataclass(frozen=True)
class Cloud:
    """The simulator's objects, by our marks."""

    projects: Mapping[str, tuple[CloudProject, ...]]
    doubled_accounts: tuple[str, ...]


def cloud_of(objects: Mapping[str, Sequence[Mapping[str, Any]]]) -> Cloud:
    """Reads what `/_sim/objects` answers."""
    email = {user["id"]: str(user["name"]).casefold() for user in objects["users"]}
    roles = {(each["project_id"], each["user_id"]): each["role"] for each in objects["grants"]}
    policies: dict[tuple[str, str], set[str]] = defaultdict(set)
    keys: dict[tuple[str, str], list[str]] = defaultdict(list)
    for each in objects["policies"]:
        policies[each["project_id"], each["user_id"]].add(str(each["policy"]))
    for each in objects["keys"]:
        keys[each["project_id"], each["user_id"]].append(each["access_key"])
    access: dict[str, dict[str, Access]] = defaultdict(dict)
    for place in {*roles, *policies, *keys}:
        project, user = place
        access[project][email[user]] = Access(roles.get(place), frozenset(policies[place]), tuple(keys[place]))
    projects: dict[str, tuple[CloudProject, ...]] = {}
    for each in objects["projects"]:
        mark = str(each["mark"] or "").removeprefix(MARK)
        projects[mark] = (*projects.get(mark, ()), CloudProject(each["id"], access[each["id"]]))
    accounts = Counter((user["domain_id"], email[user["id"]]) for user in objects["users"])
    return Cloud(projects, tuple(name for (_, name), count in accounts.items() if count > 1))
