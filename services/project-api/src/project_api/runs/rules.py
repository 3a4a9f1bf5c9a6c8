"""The rules of runs: which command is open when, and the event that asks for a run. Pure."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from contracts.events import Participant, RunRequested
from contracts.status import KINDS, Kind, Status


class Command(StrEnum):
    """What a person may ask of a project that is there."""

    PROVISION = "provision"
    RETRY = "retry"
    MEMBERS = "members"
    USER_SYNC = "user-sync"
    REPAIR = "repair"
    CANCEL = "cancel"
    SUSPEND = "suspend"
    RESUME = "resume"
    DELETE = "delete"


@dataclass(frozen=True, slots=True)
class Standing:
    """Where a project's latest run stands; ``goal`` is what the last command that was no cancel wanted."""

    kind: Kind
    goal: Kind
    status: Status
    finished: bool

    @property
    def going(self) -> bool:
        """Somebody works on it; a cancelled run is over as soon as it was asked for."""
        return not self.finished and self.kind is not Kind.CANCEL

    @property
    def removing(self) -> bool:
        """Until the project is gone, which it is a moment after its removal has ended well."""
        ended_well = self.kind is Kind.REMOVE and self.status is not Status.FAILED
        return self.goal is Kind.REMOVE and (self.going or ended_well)

    @property
    def suspended(self) -> bool:
        return self.finished and self.status is Status.SUSPENDED


def refusal(command: Command, at: Standing) -> str | None:
    """Why the command is not open now, in words for a person; None where it is."""
    return _REFUSALS.get(command, _refusal_of_provisioning)(command, at)


BUSY = "A run is going on. Wait until it has ended, or cancel it."
GOING_AWAY = "The project is being deleted."


def _refusal_of_provisioning(command: Command, at: Standing) -> str | None:
    if at.going:
        return BUSY
    if at.suspended:
        return "The project is suspended. Resume it first."
    if at.goal is not Kind.PROVISION and command is not Command.RETRY:
        return f"The last {at.goal.value} has not come to its end. Retry it first."
    return None


def _refusal_of_cancel(_: Command, at: Standing) -> str | None:
    if at.goal is Kind.REMOVE:
        return GOING_AWAY
    return None if at.going else "Nothing is running that could be cancelled."


def _refusal_of_suspend(_: Command, at: Standing) -> str | None:
    if at.goal is Kind.REMOVE:
        return GOING_AWAY
    already = at.goal is Kind.SUSPEND and (at.going or at.suspended)
    return "The project is suspended already." if already else None


def _refusal_of_resume(_: Command, at: Standing) -> str | None:
    if at.going:
        return BUSY
    return None if at.goal is Kind.SUSPEND else "The project is not suspended."


_REFUSALS: Mapping[Command, Callable[[Command, Standing], str | None]] = {
    Command.CANCEL: _refusal_of_cancel,
    Command.SUSPEND: _refusal_of_suspend,
    Command.RESUME: _refusal_of_resume,
    Command.DELETE: lambda *_: None,
}


def actions(at: Standing, *, may_write: bool) -> dict[str, bool]:
    """What is open now, for a client's buttons."""
    is_open = {command: may_write and not at.removing and refusal(command, at) is None for command in Command}
    return {
        "can_provision": is_open[Command.PROVISION],
        "can_retry": is_open[Command.RETRY] and (at.status is Status.FAILED or at.kind is Kind.CANCEL),
        "can_cancel": is_open[Command.CANCEL],
        "can_suspend": is_open[Command.SUSPEND],
        "can_resume": is_open[Command.RESUME],
        "can_delete": is_open[Command.DELETE],
        "can_change_members": is_open[Command.MEMBERS],
        "can_sync_user": is_open[Command.USER_SYNC],
    }


EVENTS: Mapping[str, type[RunRequested]] = {event.__name__: event for event in KINDS}


def kind_of(command: Mapping[str, Any]) -> Kind:
    """What the run is for that this stored command asks for."""
    return KINDS[EVENTS[command["type"]]]


def retried(goal: Kind) -> dict[str, Any]:
    """The command that goes on with what was wanted last."""
    if goal is Kind.REMOVE:
        return {"type": "RemovalRequested"}
    if goal is Kind.SUSPEND:
        return {"type": "SuspensionRequested"}
    return {"type": "ProvisioningRequested", "reason": "retry"}


def unfinished(last: Mapping[str, Any], done: Collection[int], staying: Collection[int]) -> dict[str, Any]:
    """What ``last`` (a stored command) asked for beside its participants and was not reached, by the event's fields.

    ``done`` are the users with whom its run has come to a good end, ``staying`` the participants of the run that
    follows: who is back does not leave, and who is not in it is not synced.
    """
    left = last.get("unfinished")
    if left is None:
        left = {name: [each for each in last.get(name, ()) if _user(each) not in done] for name in _BESIDE}
    removed = [each for each in left.get("removed", ()) if _user(each) not in staying]
    kept = {name: [each for each in left.get(name, ()) if each in staying] for name in ("redo", "reread")}
    return _filled({"removed": removed, **kept})


def carrying(command: Mapping[str, Any], left: Mapping[str, Any]) -> Mapping[str, Any]:
    """The command with what the run before it has left unfinished; one that provisions nobody keeps it for later."""
    kind = kind_of(command)
    if not left or kind is Kind.REMOVE:
        return command
    if kind is not Kind.PROVISION:
        return {**command, "unfinished": left}
    both = {name: {_user(each): each for each in (*left.get(name, ()), *command.get(name, ()))} for name in _BESIDE}
    return {**command, **_filled({name: list(users.values()) for name, users in both.items()})}


def noting(command: Mapping[str, Any], leaving: Sequence[Participant]) -> Mapping[str, Any]:
    """A command that provisions nobody, with who left meanwhile: the next run that provisions takes their access, or
    says that it could not.
    """
    left = command.get("unfinished", {})
    removed = {_user(each): each for each in (*left.get("removed", ()), *(each.model_dump() for each in leaving))}
    return {**command, "unfinished": {**left, "removed": list(removed.values())}}


_BESIDE = ("removed", "redo", "reread")
"""Users whom a provisioning command names beside its participants: whole ones, or ids."""


def _user(each: Any) -> int:
    return int(each["user_id"] if isinstance(each, Mapping) else each)


def _filled(users: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in users.items() if value}


def event(project: Mapping[str, Any], command: Mapping[str, Any], participants: Sequence[Participant]) -> RunRequested:
    """The event that asks for a project's latest run, the same each time it is built from the same rows.

    ``project`` has identifier, run, name, tenant_id, provider, region, requested_at and deadline_at.
    """
    kind = EVENTS[str(command["type"])]
    own = {key: value for key, value in command.items() if key not in ("type", "unfinished")}
    if "removed" in own:
        own["removed"] = tuple(Participant.model_validate(each) for each in own["removed"])
    for users in own.keys() & {"redo", "reread"}:
        own[users] = tuple(own[users])
    return kind.model_construct(
        identifier=project["identifier"],
        run=project["run"],
        name=project["name"],
        tenant_id=project["tenant_id"],
        provider=project["provider"],
        region=project["region"],
        participants=tuple(participants),
        requested_at=project["requested_at"],
        deadline_at=project["deadline_at"],
        **own,
    )
