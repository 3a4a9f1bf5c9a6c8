"""What accepted commands mean."""

from collections.abc import Mapping, Sequence
from typing import Any

from fastapi.routing import APIRoute
from project_api import api, dead_letter_routes, previewing, providers
from project_api.directory import routes as directory_routes

from tests.chaos.history import Sent
from tests.chaos.model import Wanted, expected
from tests.chaos.operations import OPERATIONS

CHANGES = {"POST", "PUT", "PATCH", "DELETE"}
FOR_DEAD_LETTERS = {"/dead-letters/{verb}", "/dead-letters/{service}/{letter_id}/{verb}"}
"""They are for parked messages, of which there must not be any."""


def sent(name: str, at: float, status: int | None = 202, *, run: int | None = None, **body: Any) -> Sent:
    answer: Mapping[str, Any] = {"run": run} if run else {}
    return Sent(name, at, at + 0.5, status, project="A", body=body, answer=answer)


CREATED = Sent("create", 0, 0.5, 201, body={"name": "a", "user_ids": [1]}, answer={"identifier": "A"})


def wanted(*commands: Sent) -> Wanted:
    return expected([CREATED, *commands]).projects["A"]


def test_every_change_that_the_api_offers_is_in_the_table() -> None:
    """A new route that changes something is tried at once, too, or this says that it isn't."""
    places = [("/projects", api.projects_router), ("/projects", previewing.router)]
    places += [("", router.router) for router in (providers, dead_letter_routes)] + [("", directory_routes.admin)]
    offered = {
        (method, _plain(prefix, route.path))
        for prefix, router in places
        for route in router.routes
        if isinstance(route, APIRoute)
        for method in (route.methods or set()) & CHANGES
    }
    tried = {(each.method, each.path) for each in OPERATIONS if each.method in CHANGES}
    assert {each for each in offered if each[1] not in FOR_DEAD_LETTERS} == tried


def _plain(prefix: str, path: str) -> str:
    """As the table has it."""
    path = prefix + path.removeprefix("/admin/v1").replace(":int", "")
    return path.replace("{user_id}", "{user}").replace("{tenant_id}", "{tenant}")


def test_without_a_command_it_is_as_it_was_created() -> None:
    """A cancelled creation, too, is active in the end: what failed is retried."""
    assert wanted(sent("cancel", 1, run=2)) == Wanted(
        "a", None, frozenset({"active"}), frozenset({frozenset({1})}), must_be_gone=False, may_be_gone=False
    )


def test_the_accepted_command_of_the_highest_run_holds() -> None:
    """Not the one that was sent or answered last."""
    assert wanted(sent("resume", 1, run=3), sent("suspend", 2, run=2)).statuses == {"active"}


def test_a_refused_command_means_nothing() -> None:
    """It changed nothing, whatever it asked for."""
    refused = sent("suspend", 1, 409), sent("members", 2, 422, user_ids=[2]), sent("delete", 3, 409)
    assert wanted(*refused) == wanted()


def test_a_command_without_an_answer_may_hold() -> None:
    """Until another is accepted that was sent after it had ended."""
    lost = sent("suspend", 1, None), sent("members", 1, 503, user_ids=[2])
    assert wanted(*lost).statuses == {"active", "suspended"}
    assert wanted(*lost).explicit == {frozenset({1}), frozenset({2})}
    assert wanted(*lost, sent("members", 1.2, run=2, user_ids=[3])).statuses == {"active", "suspended"}
    assert wanted(*lost, sent("members", 9, run=2, user_ids=[3])).statuses == {"active"}
    assert wanted(*lost, sent("members", 9, run=2, user_ids=[3])).explicit == {frozenset({3})}


def test_a_repair_that_found_nothing_is_no_command() -> None:
    """It began no run."""
    assert wanted(sent("suspend", 1, run=2), sent("repair", 2, 200)).statuses == {"suspended"}


def test_a_deletion_without_an_answer_may_have_been_carried_out() -> None:
    """One that was accepted has been."""
    assert (wanted(sent("delete", 1, None)).may_be_gone, wanted(sent("delete", 1, None)).must_be_gone) == (True, False)
    assert wanted(sent("delete", 1, run=2)).must_be_gone


def test_a_creation_without_an_answer_may_be_there() -> None:
    """Unless its repeat was answered."""
    lost = Sent("create", 0, 1, None, body={"name": "a"})
    assert expected([lost]).perhaps == {"a"}
    assert expected([lost, CREATED]).perhaps == set()


def test_changes_of_a_user_that_overlap_may_have_come_in_either_order() -> None:
    """Those that had ended before another began did not."""
    changes: Sequence[Sent] = [
        Sent("user-email", at, at + 1, 200, user=7, body={"email": email})
        for at, email in ((0, "First@x"), (5, "second@x"), (5.5, "third@x"))
    ]
    assert expected(changes).emails == {7: {"second@x", "third@x"}}
