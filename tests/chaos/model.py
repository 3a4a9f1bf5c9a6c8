"""What accepted commands mean for each project, and what unanswered ones may mean. Pure.

It follows the promise and not the code: the accepted command of the highest run is what holds. One without an answer
may have been carried out unless it had ended before that command was sent.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tests.chaos.history import Sent
from tests.chaos.operations import BY_NAME


@dataclass(frozen=True)
class Wanted:
    """One project that was accepted. Where several things may be true, each is a member."""

    name: str
    tenant_id: int | None
    statuses: frozenset[str]
    explicit: frozenset[frozenset[int]]
    """Users who are in because somebody named them; those who are removed from the directory meanwhile don't count."""
    must_be_gone: bool
    may_be_gone: bool


@dataclass(frozen=True)
class Expectation:
    """Of a whole round."""

    projects: Mapping[str, Wanted]
    perhaps: frozenset[str]
    """Names of projects whose creation had no answer."""
    emails: Mapping[int, frozenset[str]]
    """What a user's address may be, by id, of those whose address was changed."""
    roles: Mapping[int, frozenset[str]]
    removed: frozenset[int]
    """Users whose removal was accepted."""


def expected(sent: Sequence[Sent]) -> Expectation:
    """What must be so once all is quiet on a healthy cloud."""
    created = {each.answer["identifier"]: each for each in reversed(sent) if each.name == "create" and each.accepted}
    accepted = {each.body["name"] for each in created.values()}
    unanswered = {each.body["name"] for each in sent if each.name == "create" and each.unsure}
    return Expectation(
        {identifier: _wanted(identifier, first, sent) for identifier, first in created.items()},
        frozenset(unanswered - accepted),
        _last_values(sent, "user-email", "email"),
        _last_values(sent, "user-role", "role"),
        frozenset(each.user for each in sent if each.name == "user-remove" and each.accepted and each.user),
    )


def _wanted(identifier: str, created: Sent, sent: Sequence[Sent]) -> Wanted:
    mine = [each for each in sent if each.project == identifier]
    goals = [each for each in mine if BY_NAME[each.name].goal and (each.run or each.unsure)]
    members = [each for each in mine if each.name == "members"]
    removals = [each for each in mine if each.name == "delete"]
    return Wanted(
        created.body["name"],
        created.body.get("tenant_id"),
        frozenset(str(BY_NAME[each.name].goal) for each in _in_force(goals, created)),
        frozenset(frozenset(each.body["user_ids"]) for each in _in_force(members, created)),
        any(each.accepted for each in removals),
        any(each.accepted or each.unsure for each in removals),
    )


def _last_values(sent: Sequence[Sent], name: str, field: str) -> Mapping[int, frozenset[str]]:
    by_user: dict[int, list[Sent]] = {}
    for each in sent:
        if each.name == name and each.user and (each.accepted or each.unsure):
            by_user.setdefault(each.user, []).append(each)
    return {
        user: frozenset(each.body[field].casefold() for each in _in_force(changes, None))
        for user, changes in by_user.items()
        if any(each.accepted for each in changes)
    }


def _in_force(changes: Sequence[Sent], first: Sent | None) -> Sequence[Sent]:
    """The one that holds, and those that may have come after it; ``first`` holds where none does.

    Runs have an order. What began none has that of its time, and what overlaps may have come in either.
    """
    accepted = [each for each in changes if each.accepted]
    last = max(accepted, key=lambda each: (each.run or 0, each.at), default=first)
    since = last.at if last and last is not first else 0
    later = [each for each in changes if each is not last and each.ended > since]
    open_ = [each for each in later if each.unsure or (each.accepted and each.run is None)]
    return [*([last] if last else ()), *open_]
