"""What the API says of one project, against itself, against the directory and against what was asked. Pure."""

from collections.abc import Iterator, Mapping
from itertools import pairwise
from typing import Any

from tests.chaos.model import Wanted
from tests.chaos.observed import Seen
from tests.chaos.violation import Violation

Directory = Mapping[int, Mapping[str, Any]]

REQUESTS = {
    "ProjectCreated",
    "ProvisioningRequested",
    "SuspensionRequested",
    "RemovalRequested",
    "ProvisioningCancelled",
}
"""Events that begin a run."""

SETTLED = {"synced", "revoked"}


def words(identifier: str, seen: Seen, _: Wanted | None, __: Directory) -> Iterator[Violation]:
    """One status, wherever it is shown."""
    said = {
        "list": seen.listed["status"],
        "detail": seen.detail["status"],
        "status": seen.status["status"],
        "its data": seen.status["data"]["status"],
        "its project": seen.status["project"]["status"],
    }
    if len(set(said.values())) > 1:
        yield Violation(identifier, "its status differs by route", said)


def progress(identifier: str, seen: Seen, _: Wanted | None, __: Directory) -> Iterator[Violation]:
    """100 % only when active, and then every step and user is done."""
    status, shown = seen.status["status"], seen.status["progress"]
    if (shown["percent"] == 100) != (status == "active") or shown["completed"] > shown["total"]:
        yield Violation(identifier, f"its progress cannot be while it is {status}", shown)
    if status != "active":
        return
    steps = seen.status["project"]["provisioning_progress"]
    users = seen.status["project"]["users"]["local"]
    if any(step["status"] != "completed" for step in steps):
        yield Violation(identifier, "it is active and a step is not completed", steps)
    if any(user["status"] not in SETTLED for user in users):
        yield Violation(identifier, "it is active and a user is not synced", users)
    local = {user["id"] for user in users if user["status"] != "revoked"}
    if local != {user["id"] for user in seen.detail["users"]}:
        yield Violation(identifier, "status and detail have other users", [users, seen.detail["users"]])


def events(identifier: str, seen: Seen, _: Wanted | None, __: Directory) -> Iterator[Violation]:
    """The timeline is whole: each event once, newest first, runs from 1 without a gap, each of one kind."""
    if len({event["id"] for event in seen.events}) != len(seen.events):
        yield Violation(identifier, "an event is there twice", [event["id"] for event in seen.events])
    if any(newer["time"] < older["time"] for newer, older in pairwise(seen.events)):
        yield Violation(identifier, "its events are out of order", [event["time"] for event in seen.events])
    kinds: dict[int, set[str]] = {}
    for event in seen.events:
        if event["type"] in REQUESTS:
            kinds.setdefault(event["run"], set()).add(event["type"])
    if sorted(kinds) != list(range(1, seen.status["run"] + 1)):
        yield Violation(identifier, f"it is in run {seen.status['run']} and its events tell of others", sorted(kinds))
    for run, kind in kinds.items():
        if len(kind) > 1:
            yield Violation(identifier, f"run {run} is of two kinds", sorted(kind))


def participants(identifier: str, seen: Seen, wanted: Wanted | None, directory: Directory) -> Iterator[Violation]:
    """Who was named is in for that reason and nobody else is; all are as the directory has them."""
    for user in seen.detail["users"]:
        known = directory.get(user["id"])
        if known is None:
            yield Violation(identifier, "a removed user is still in it", user)
        elif any(known[field] != user[field] for field in ("email", "role", "name")):
            yield Violation(identifier, "a participant is not as the directory has them", [user, known])
    if wanted is None:
        return
    explicit = {user["id"] for user in seen.detail["users"] if "explicit" in user["reasons"]}
    open_ = [sorted(each & directory.keys()) for each in wanted.explicit]
    if sorted(explicit) not in open_:
        yield Violation(identifier, "others were named", {"found": sorted(explicit), "accepted": open_})
    if seen.detail["tenant_id"] != wanted.tenant_id:
        yield Violation(identifier, "it is another tenant's", [seen.detail["tenant_id"], wanted.tenant_id])
