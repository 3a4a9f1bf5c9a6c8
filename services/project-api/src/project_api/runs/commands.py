"""Commands on a project that is there: each raises the project's run by compare-and-set, with its event in the outbox.

A command that finds its run taken by another one meanwhile looks again and is judged anew.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from backbone.database import Transaction
from contracts.events import Participant
from contracts.status import Kind, Status, opening_picture

from project_api import access, checks, participants
from project_api.access import Scope, scoped
from project_api.directory.people import SHARED_LOCK, People
from project_api.parts import Caller
from project_api.runs import estimates, raising, rules, sizes
from project_api.runs.pictures import COLUMNS, JOIN
from project_api.runs.raising import BEFORE, next_run
from project_api.runs.rules import Command, Standing
from project_api.web.errors import Problem, invalid, not_found

ATTEMPTS = 4


def _find(where: Scope) -> str:
    return f"""
    SELECT {COLUMNS}, {BEFORE}, p.client_id, p.owner_id, p.created_by, coalesce(s.finished, false) AS finished,
        s.status AS read_status, {SHARED_LOCK}
    FROM projects AS p {JOIN}
    WHERE p.identifier = :identifier AND {where}
    """  # noqa: S608 - our own words


FIND = scoped(_find)


@dataclass(frozen=True, slots=True)
class Order:
    """What a command makes of a project; ``people`` is None where the participants stay as they are."""

    command: Mapping[str, Any]
    everybody: Sequence[Participant]
    people: People | None = None
    leaving: Sequence[Participant] = ()


class _Again(Exception):
    """Somebody was quicker: look again. ``versions`` are the directory's, where it was that which moved."""

    def __init__(self, versions: Mapping[str, int] | None = None) -> None:
        super().__init__(versions)
        self.versions = versions


Draft = Callable[[Any, Mapping[str, int] | None], Awaitable["Order"]]
"""Makes the order from the project's row and the directory versions that it must not be older than."""


async def carry_out(caller: Caller, identifier: str, command: Command, draft: Draft | None = None) -> dict[str, Any]:
    """Asks for the run and answers what a 202 says. Raises a 404, a 403, a 409 where the command is not open."""
    at_least: Mapping[str, int] | None = None
    await access.require_writer(caller, identifier)
    for _ in range(ATTEMPTS):
        try:
            async with caller.transaction() as tx:
                row = await look(tx, caller, identifier)
                at = standing(row)
                if refused := rules.refusal(command, at):
                    raise Problem(409, refused)
                if command is Command.DELETE and at.removing:
                    return _answer(command, row)  # asked for already
                order = await draft(row, at_least) if draft else _plain(caller, command, row)
                return _answer(command, await _raise(tx, caller, row, order))
        except _Again as again:
            at_least = again.versions
    raise Problem(409, "The project is being changed by somebody else. Try again.")


def standing(row: Any) -> Standing:
    """Where the project's latest run stands, as the read model or else the opening picture has it."""
    kind = Kind(row.kind)
    opening = Status.SUSPENDED if kind is Kind.REMOVE else Status.PROVISIONING
    return Standing(kind, Kind(row.goal), Status(row.read_status or opening), bool(row.finished))


def recorded(row: Any) -> tuple[Participant, ...]:
    """The participants of the latest run."""
    return tuple(Participant.model_validate(each) for each in row.people or ())


async def look(tx: Transaction, caller: Caller, identifier: str) -> Any:
    """The project's row, as a command reads it.

    Raises a 404 for what is not there or not the caller's, a 403 for what is theirs to read alone.
    """
    values = {"identifier": identifier, **access.parameters(caller)}
    row = (await tx.execute(FIND[access.scope(caller)], values)).one_or_none()
    if row is None:
        raise not_found(access.NO_PROJECT)
    access.require_change(caller, row.tenant_id)
    tx.now = row.now
    return row


def _plain(caller: Caller, command: Command, row: Any) -> Order:
    """The order of a command that keeps the participants."""
    wanted: Mapping[str, Any]
    match command:
        case Command.CANCEL:
            wanted = {"type": "ProvisioningCancelled", "cancelled_by": caller.principal.email}
        case Command.SUSPEND:
            wanted = {"type": "SuspensionRequested"}
        case Command.DELETE:
            wanted = {"type": "RemovalRequested"}
        case Command.RESUME:
            wanted = {"type": "ProvisioningRequested", "reason": "resume"}
        case _:
            wanted = rules.retried(Kind(row.goal))
    return Order(wanted, recorded(row))


async def _raise(tx: Transaction, caller: Caller, row: Any, order: Order) -> Any:
    """Stores the order as the project's next run and emits its event; the project's row as it is then."""
    following = next_run(row, order.command, order.everybody, caller.parts.settings.run_deadline_seconds)
    done = await raising.store(tx, caller.parts, [following], _moved(order))
    if order.people and not order.people.is_current(done.versions):
        raise _Again(done.versions)
    if not done.raised:
        raise _Again
    if sizes.size(following.event) > (sizes.LARGEST_NEW if order.people else sizes.LARGEST):
        raise sizes.too_many(order.everybody)
    return following.project


def _moved(order: Order) -> Mapping[str, Any]:
    if order.people is None:
        return raising.STAYING
    return {
        "people": participants.numbered(order.everybody),
        "leaving": [each.user_id for each in order.leaving],
        "directory_names": order.people.names,
    }


MESSAGES = {
    Command.PROVISION: "Provisioning has started.",
    Command.RETRY: "Provisioning has started again.",
    Command.MEMBERS: "Members are being updated.",
    Command.USER_SYNC: "The user is being synced.",
    Command.REPAIR: "What differs on the cloud is being repaired.",
    Command.CANCEL: "The run was cancelled.",
    Command.SUSPEND: "The project is being suspended.",
    Command.RESUME: "The project is being resumed.",
    Command.DELETE: "The project is being deleted.",
}

WORDS_OF: Mapping[Kind, Command] = {Kind.REMOVE: Command.DELETE, Kind.SUSPEND: Command.SUSPEND}
"""By kind of run, the command whose words say what happens: a retry of a removal starts no provisioning."""


def _answer(command: Command, row: Any) -> dict[str, Any]:
    project = row if isinstance(row, Mapping) else row._mapping
    shown = opening_picture(Kind(project["kind"]), project["participants"], project["requested_at"])
    at = Standing(Kind(project["kind"]), Kind(project["goal"]), shown.status, finished=False)
    completion = estimates.completion(project["requested_at"], project["estimate"])
    common = {"identifier": project["identifier"], "status": shown.status, "run": project["run"]}
    told = {
        "progress": shown.progress,
        "actions": rules.actions(at, may_write=True),
        "estimated_completion": completion,
    }
    steps = {"provisioning_progress": shown.steps, "provisioning_started_at": shown.started_at}
    data = {"id": project["identifier"], **common, "name": project["name"], **told, **steps}
    words = MESSAGES[WORDS_OF.get(project["kind"], command)]
    return {"success": True, "message": words, **common, **told, "data": data}


def provisioning(caller: Caller) -> Draft:
    """Works the participants out again, by the directory as it is now."""

    async def draft(row: Any, at_least: Mapping[str, int] | None) -> Order:
        current = recorded(row)
        explicit = [each.user_id for each in current if "explicit" in each.reasons]
        ids = [each for each in (*explicit, row.created_by, row.client_id, row.owner_id) if each is not None]
        people = await caller.parts.directory.people(row.tenant_id, list(dict.fromkeys(ids)), at_least)
        everybody = checks.gather(
            people, explicit=explicit, creator=row.created_by, client=row.client_id, owner=row.owner_id
        )
        staying = {each.user_id for each in everybody}
        leaving = tuple(each for each in current if each.user_id not in staying)
        return Order(requested("provision", removed=leaving), everybody, people, leaving)

    return draft


def membership(caller: Caller, user_ids: Sequence[int]) -> Draft:
    """Makes these users the explicit participants. Raises a 422 for a user who is not there."""

    async def draft(row: Any, at_least: Mapping[str, int] | None) -> Order:
        current = recorded(row)
        people = await caller.parts.directory.people(row.tenant_id, list(dict.fromkeys(user_ids)), at_least)
        known = {each.user_id for each in current}
        for each in user_ids:
            if each not in people.chosen or not (each in known or checks.may_name(caller, people.chosen[each])):
                if at_least is None:  # by the cache alone nobody is refused
                    return await draft(row, await caller.parts.directory.versions(row.tenant_id))
                raise invalid("user_ids", f"The selected user_ids is invalid: there is no user {each}.")
        everybody, leaving = participants.with_members(current, people.chosen.values())
        return Order(requested("members", removed=leaving), everybody, people, leaving)

    return draft


def resync(user_id: int) -> Draft:
    """Syncs one participant afresh, with a new credential. Raises a 404 for somebody who is not in."""

    async def draft(row: Any, _: Mapping[str, int] | None) -> Order:
        everybody = recorded(row)
        if user_id not in {each.user_id for each in everybody}:
            raise not_found(f"User {user_id} is not in this project.")
        return Order(requested("user-sync", redo=[user_id]), everybody)

    return draft


def repair(user_ids: Sequence[int]) -> Draft:
    """Compares these users with the cloud one by one, and gives all participants what they lack there."""

    async def draft(row: Any, _: Mapping[str, int] | None) -> Order:
        return Order(requested("repair", reread=user_ids), recorded(row))

    return draft


def requested(
    reason: str, *, removed: Sequence[Participant] = (), redo: Sequence[int] = (), reread: Sequence[int] = ()
) -> dict[str, Any]:
    """A provisioning command, as it is stored."""
    more = {"removed": [each.model_dump() for each in removed], "redo": list(redo), "reread": list(reread)}
    return {"type": "ProvisioningRequested", "reason": reason, **{name: value for name, value in more.items() if value}}
