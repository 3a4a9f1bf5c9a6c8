"""Who may enter one cloud project, against who should: read from the cloud itself, not from our records. Pure."""

from collections.abc import Iterator, Mapping
from typing import Any

from tests.chaos.model import Wanted
from tests.chaos.observed import Access, Seen
from tests.chaos.scale import PLAIN_ROLE, ROLES
from tests.chaos.violation import Violation

Directory = Mapping[int, Mapping[str, Any]]

READ_ALREADY = 410


def access(identifier: str, seen: Seen, _: Wanted | None, __: Directory) -> Iterator[Violation]:
    """Each participant has the role, policies and one key."""
    if seen.status["status"] != "active":
        return
    if not seen.cloud:
        yield Violation(identifier, "it is active and has no cloud project", None)
    for user in seen.detail["users"] if seen.cloud else ():
        has = _access(seen).get(user["email"].casefold(), Access())
        if not has.role or not has.policies or len(has.keys) != 1:
            yield Violation(identifier, f"user {user['id']} lacks access", {user["email"]: has})
        elif has.role != ROLES.get(user["role"], PLAIN_ROLE):
            yield Violation(identifier, f"user {user['id']} is {user['role']} with another role", {user["email"]: has})


def uninvited(identifier: str, seen: Seen, _: Wanted | None, __: Directory) -> Iterator[Violation]:
    """Nobody has access by an account that is no participant's: removed, or the former address of one."""
    status = seen.status["status"]
    if status not in ("active", "suspended"):
        return
    invited = {user["email"].casefold() for user in seen.detail["users"]} if status == "active" else set()
    for email, has in _access(seen).items():
        if email not in invited:
            yield Violation(identifier, f"it is {status} and somebody has access who should not", {email: has})


def verified(identifier: str, seen: Seen, _: Wanted | None, __: Directory) -> Iterator[Violation]:
    """The API's own comparison agrees."""
    found = seen.verification
    if seen.status["status"] in ("active", "suspended") and not found["in_sync"]:
        yield Violation(identifier, "verify finds a difference", found["drift"] or found.get("message"))


def credentials(identifier: str, seen: Seen, _: Wanted | None, __: Directory) -> Iterator[Violation]:
    """Each participant's is there unless it was read before, and logs in as that user into that project."""
    if seen.status["status"] != "active":
        return
    for user in seen.detail["users"]:
        given = seen.credentials.get(user["id"])
        if given is None or given.status not in (200, READ_ALREADY):
            yield Violation(identifier, f"user {user['id']} gets no credential", given)
        elif given.status == 200 and not (
            given.opens
            and given.email.casefold() == user["email"].casefold()
            and given.cloud_project in {each.id for each in seen.cloud}
        ):
            yield Violation(identifier, f"the credential of user {user['id']} does not open the cloud", given)


def _access(seen: Seen) -> Mapping[str, Access]:
    return {email: has for each in seen.cloud for email, has in each.access.items()}
