"""Who is in a project, with which role and why: pure."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Protocol

from contracts.events import Participant
from pydantic_core import to_json

REASONS = ("explicit", "admin", "tenant", "creator", "client", "owner")
"""Why somebody is in, in the order in which a participant's reasons are listed."""


class Person(Protocol):
    """What the directory knows of a user; ``role`` is admin, tenant_admin or member."""

    @property
    def id(self) -> int: ...

    @property
    def name(self) -> str: ...

    @property
    def email(self) -> str: ...

    @property
    def role(self) -> str: ...


def gather(groups: Mapping[str, Iterable[Person]]) -> tuple[Participant, ...]:
    """Everybody of the groups (reason to people) once, with their directory role and every reason for being in.

    The order is that of :data:`REASONS`, then of the groups, so that the same question has the same answer.
    """
    people: dict[int, Person] = {}
    reasons: dict[int, list[str]] = {}
    for reason in REASONS:
        for person in groups.get(reason, ()):
            people.setdefault(person.id, person)
            known = reasons.setdefault(person.id, [])
            if reason not in known:
                known.append(reason)
    return tuple(_participant(person, reasons[person.id]) for person in people.values())


def with_members(
    current: Sequence[Participant], members: Iterable[Person]
) -> tuple[tuple[Participant, ...], tuple[Participant, ...]]:
    """The participants once ``members`` are the explicit ones, and those who leave.

    Who is in for another reason too stays; nobody joins but the members, for that is a provision's to work out.
    """
    chosen = {person.id: person for person in members}
    staying = [_explicit(each, each.user_id in chosen) for each in current]
    known = {each.user_id for each in current}
    joining = [_participant(person, ["explicit"]) for person in chosen.values() if person.id not in known]
    leaving = tuple(old for old, new in zip(current, staying, strict=True) if not new.reasons)
    return (*(each for each in staying if each.reasons), *joining), leaving


def without(
    current: Sequence[Participant], user_ids: Collection[int]
) -> tuple[tuple[Participant, ...], tuple[Participant, ...]]:
    """The participants without these users, and those who leave."""
    staying = tuple(each for each in current if each.user_id not in user_ids)
    return staying, tuple(each for each in current if each.user_id in user_ids)


def as_now(
    current: Sequence[Participant], person: Person, ended: str | None = None
) -> tuple[tuple[Participant, ...], tuple[Participant, ...]]:
    """The participants with this one as the directory has them now, and those who leave.

    They are not in for the reason ``ended`` any more, and leave where it was the only one.
    """
    staying: list[Participant] = []
    leaving: list[Participant] = []
    for each in current:
        if each.user_id != person.id:
            staying.append(each)
        elif each.reasons == (ended,):
            leaving.append(each)
        else:
            staying.append(_participant(person, (reason for reason in each.reasons if reason != ended)))
    return tuple(staying), tuple(leaving)


def numbered(everybody: Sequence[Participant]) -> str:
    """The participants' rows, in their order, as JSON."""
    return to_json([{**vars(each), "position": n} for n, each in enumerate(everybody)]).decode()


def _explicit(participant: Participant, is_member: bool) -> Participant:
    wanted = {*participant.reasons, "explicit"} if is_member else {*participant.reasons} - {"explicit"}
    return participant.model_copy(update={"reasons": tuple(reason for reason in REASONS if reason in wanted)})


def _participant(person: Person, reasons: Iterable[str]) -> Participant:
    return Participant(
        user_id=person.id, email=person.email, name=person.name, role=person.role, reasons=tuple(reasons)
    )
