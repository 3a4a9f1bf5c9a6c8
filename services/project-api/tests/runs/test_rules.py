"""Which command is open when."""

from datetime import UTC, datetime

import pytest
from contracts.events import Participant, ProvisioningRequested, RemovalRequested
from contracts.status import Kind, Status
from project_api.runs import rules
from project_api.runs.rules import Command, Standing

P, C, S, R = Kind.PROVISION, Kind.CANCEL, Kind.SUSPEND, Kind.REMOVE
GOING = Standing(P, P, Status.PROVISIONING, finished=False)
ACTIVE = Standing(P, P, Status.ACTIVE, finished=True)
FAILED = Standing(P, P, Status.FAILED, finished=True)
CANCELLING = Standing(C, P, Status.PROVISIONING, finished=False)
CANCELLED = Standing(C, P, Status.FAILED, finished=True)
SUSPENDING = Standing(S, S, Status.PROVISIONING, finished=False)
SUSPENDED = Standing(S, S, Status.SUSPENDED, finished=True)
NOT_SUSPENDED = Standing(S, S, Status.FAILED, finished=True)
REMOVING = Standing(R, R, Status.SUSPENDED, finished=False)
REMOVED = Standing(R, R, Status.SUSPENDED, finished=True)
NOT_REMOVED = Standing(R, R, Status.FAILED, finished=True)

OPEN = {
    GOING: {"cancel", "suspend", "delete"},
    ACTIVE: {"provision", "retry", "members", "user-sync", "repair", "suspend", "delete"},
    FAILED: {"provision", "retry", "members", "user-sync", "repair", "suspend", "delete"},
    CANCELLING: {"provision", "retry", "members", "user-sync", "repair", "suspend", "delete"},
    CANCELLED: {"provision", "retry", "members", "user-sync", "repair", "suspend", "delete"},
    SUSPENDING: {"cancel", "delete"},
    SUSPENDED: {"resume", "delete"},
    NOT_SUSPENDED: {"retry", "resume", "suspend", "delete"},
    REMOVING: {"delete"},
    NOT_REMOVED: {"retry", "delete"},
}


@pytest.mark.parametrize("at", OPEN, ids=str)
def test_what_is_open(at: Standing) -> None:
    """Each standing has its open commands, and words for a person about every other one."""
    assert {each.value for each in Command if rules.refusal(each, at) is None} == OPEN[at]


@pytest.mark.parametrize("at", OPEN, ids=str)
def test_actions_are_open_commands(at: Standing) -> None:
    """No action is offered that would be answered 409, and none at all to somebody who only reads."""
    names = {"can_sync_user": "user-sync", "can_change_members": "members"}
    offered = {name for name, is_open in rules.actions(at, may_write=True).items() if is_open}
    assert {names.get(each, each.removeprefix("can_")) for each in offered} <= OPEN[at]
    assert not any(rules.actions(at, may_write=False).values())


@pytest.mark.parametrize("at", [REMOVING, REMOVED], ids=str)
def test_a_removal_offers_nothing(at: Standing) -> None:
    """While a project is being deleted there is nothing to press, nor in the moment before it is gone."""
    assert not any(rules.actions(at, may_write=True).values())


@pytest.mark.parametrize(("at", "can"), [(FAILED, True), (CANCELLED, True), (NOT_REMOVED, True), (ACTIVE, False)])
def test_retry_is_offered_after_a_failure(at: Standing, can: bool) -> None:
    """A project that is as it should be offers no retry, though asking for one does no harm."""
    assert rules.actions(at, may_write=True)["can_retry"] is can


def test_a_retry_goes_on_with_what_was_wanted() -> None:
    """A failed removal is retried as a removal, a failed suspension as a suspension."""
    kinds = {goal: rules.retried(goal)["type"] for goal in (P, S, R)}
    assert kinds == {P: "ProvisioningRequested", S: "SuspensionRequested", R: "RemovalRequested"}


LEAVING = {"user_id": 3, "email": "c@uca.test"}
MEMBERS = {"type": "ProvisioningRequested", "reason": "members"}


def test_what_is_done_is_not_asked_for_again() -> None:
    """Neither a credential that was issued nor an access that was taken."""
    last = MEMBERS | {"removed": [LEAVING, {"user_id": 4}], "redo": [5, 6], "reread": [6, 7]}
    assert rules.unfinished(last, done={4, 5, 7}, staying={5, 6, 7}) == {
        "removed": [LEAVING],
        "redo": [6],
        "reread": [6],
    }
    assert rules.unfinished(last, done={3, 4, 5, 6, 7}, staying={5, 6, 7}) == {}


def test_who_is_back_does_not_leave_and_who_has_left_is_not_synced() -> None:
    """A user who stood in both would be reported once and waited for twice."""
    last = MEMBERS | {"removed": [LEAVING], "redo": [5]}
    assert rules.unfinished(last, done=(), staying={3}) == {}


@pytest.mark.parametrize("kind", ["ProvisioningCancelled", "SuspensionRequested"])
def test_a_run_that_provisions_nobody_keeps_what_is_unfinished(kind: str) -> None:
    """For the run after it; its own reports say nothing of that."""
    between = rules.carrying({"type": kind}, {"redo": [5]})
    assert rules.unfinished(between, done={5}, staying={5}) == {"redo": [5]}
    assert rules.carrying({"type": kind}, {}) == {"type": kind}


def test_a_run_asks_for_its_own_and_what_is_unfinished_once() -> None:
    """Whoever is named by both is named once; a removal takes everybody's access and needs no names."""
    own = MEMBERS | {"removed": [LEAVING], "redo": [6]}
    left = {"removed": [{"user_id": 3}, {"user_id": 4}], "redo": [5, 6]}
    command = rules.carrying(own, left)
    assert command == MEMBERS | {"removed": [LEAVING, {"user_id": 4}], "redo": [5, 6]}
    assert rules.carrying({"type": "RemovalRequested"}, left) == {"type": "RemovalRequested"}


def test_an_event_is_built_from_rows() -> None:
    """The event of a run, built from its stored command, has everything that workers keep."""
    someone = Participant(user_id=3, email="c@uca.test", name="C", role="member", reasons=("explicit",))
    now = datetime(2026, 1, 1, tzinfo=UTC)
    project = {
        "identifier": "F8Z4RK2M",
        "run": 2,
        "name": "Shop",
        "tenant_id": None,
        "provider": "zadara",
        "region": "region-1",
        "requested_at": now,
        "deadline_at": now,
    }
    command = {"type": "ProvisioningRequested", "reason": "members", "removed": [someone.model_dump()], "redo": [3]}
    event = rules.event(project, command, [someone])
    assert event == ProvisioningRequested.model_validate(event.model_dump())
    assert isinstance(event, ProvisioningRequested)
    assert (event.removed, event.redo, event.participants) == ((someone,), (3,), (someone,))
    assert isinstance(rules.event(project, {"type": "RemovalRequested"}, []), RemovalRequested)


def test_a_stored_command_may_have_words_that_are_no_more() -> None:
    """A project that an older version stored is swept all the same."""
    project = dict.fromkeys(("identifier", "run", "name", "tenant_id", "provider", "region", "requested_at"))
    event = rules.event({**project, "deadline_at": None}, {"type": "ProjectCreated", "rotate_on_link": True}, [])
    assert event == rules.event({**project, "deadline_at": None}, {"type": "ProjectCreated"}, [])
