"""What watchers are told when a status moves."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from contracts.events import Step
from contracts.status import Kind, Picture, Progress, Status, StepStatus, Waiting, opening_picture
from project_api.push.news import (
    COMPLETED,
    FAILED,
    UPDATED,
    News,
    View,
    again,
    current,
    in_focus,
    late_step,
    news,
    reminder,
)

NOW = datetime(2026, 1, 1, 10, tzinfo=UTC)
LATER = NOW + timedelta(hours=1)
N, P, C, F = StepStatus.NOT_STARTED, StepStatus.PENDING, StepStatus.COMPLETED, StepStatus.FAILED


def view(version: int, steps: tuple[StepStatus, ...], status: Status = Status.PROVISIONING, run: int = 1) -> View:
    opening = opening_picture(Kind.PROVISION, 2, NOW)
    picture = opening.model_copy(
        update={
            "status": status,
            "progress": Progress(percent=10, completed=1, total=4, message="Syncing users (1 of 2)…"),
            "steps": tuple(s.model_copy(update={"status": w}) for s, w in zip(opening.steps, steps, strict=True)),
            "completed_at": None if status is Status.PROVISIONING else NOW,
        }
    )
    return View("F81401", run, version, picture)


def between(before: View | None, now: View, moved: Sequence[str] = ()) -> list[News]:
    return news(before, now, moved, LATER)


def told(items: list[News]) -> list[tuple[str, str, str]]:
    steps = [(item.event, json.loads(item.data)["step"]) for item in items]
    return [(event, step["id"], step["status"]) for event, step in steps]


def test_each_step_that_moved_is_told_once_and_in_order() -> None:
    """A view in which two steps moved makes two updates."""
    assert told(between(view(1, (P, N, N)), view(2, (C, P, N)), ["link", "users"])) == [
        (UPDATED, "link", "completed"),
        (UPDATED, "users", "pending"),
    ]


def test_progress_alone_is_told_on_the_step_in_focus() -> None:
    """Where no step moved, the update carries the step that runs."""
    assert told(between(view(2, (C, P, N)), view(3, (C, P, N)))) == [(UPDATED, "users", "pending")]


def test_steps_of_views_that_never_arrived_are_told() -> None:
    """After a gap, each step that differs from what was told last is told."""
    assert told(between(view(1, (P, N, N)), view(5, (C, C, P)), ["active"])) == [
        (UPDATED, "link", "completed"),
        (UPDATED, "users", "completed"),
        (UPDATED, "active", "pending"),
    ]


def test_completion_is_told_between_two_updates_of_the_last_step() -> None:
    """Active is told as a step, then as an end, then once more for the pages that fetch again on a step."""
    assert told(between(view(3, (C, P, N)), view(4, (C, C, C), Status.ACTIVE), ["users", "active"])) == [
        (UPDATED, "users", "completed"),
        (UPDATED, "active", "completed"),
        (COMPLETED, "active", "completed"),
        (UPDATED, "active", "completed"),
    ]


def test_a_failure_is_told_with_its_step() -> None:
    """The end of a failed run names the step that failed."""
    assert told(between(view(3, (C, P, N)), view(4, (C, F, N), Status.FAILED)))[-2:] == [
        (FAILED, "users", "failed"),
        (UPDATED, "users", "failed"),
    ]


def test_an_end_is_told_once() -> None:
    """A later view of an ended run does not end it again."""
    ended = view(4, (C, C, C), Status.ACTIVE)
    assert told(between(ended, ended._replace(version=5))) == [(UPDATED, "active", "completed")]


def test_a_suspended_project_makes_no_completion() -> None:
    """A suspension's end is an update only."""
    assert {event for event, _, _ in told(between(view(1, (N, N, N)), view(2, (N, N, N), Status.SUSPENDED)))} == {
        UPDATED
    }


def test_a_new_run_begins_from_nothing() -> None:
    """What was told of an older run does not hide the steps of a newer one, nor its end."""
    old = view(9, (C, C, C), Status.ACTIVE)
    assert told(between(old, view(1, (C, P, N), run=2))) == [
        (UPDATED, "link", "completed"),
        (UPDATED, "users", "pending"),
    ]
    assert told(between(old, view(1, (C, C, C), Status.ACTIVE, run=2)))[-2][0] == COMPLETED


def test_a_newcomer_is_told_every_step_that_has_begun() -> None:
    """The current picture is one update for each begun step; a run that was only asked for shows its first."""
    assert told(current(view(3, (C, P, N)), LATER)) == [(UPDATED, "link", "completed"), (UPDATED, "users", "pending")]
    assert told(current(view(0, (N, N, N)), LATER)) == [(UPDATED, "link", "not_started")]


def test_a_newcomer_hears_of_an_end_only_where_it_is_fresh() -> None:
    """A page of a project that is long active is not congratulated; one that came a second late is."""
    ended = view(4, (C, C, C), Status.ACTIVE)
    assert COMPLETED not in {event for event, _, _ in told(current(ended, LATER))}
    assert COMPLETED in {event for event, _, _ in told(current(ended, NOW + timedelta(seconds=1)))}


def test_every_update_carries_what_the_frontend_reads() -> None:
    """Data has step with its version, status, progress, and the identifier as id."""
    (item,) = between(view(2, (C, P, N)), view(3, (C, P, N)))
    data: dict[str, Any] = json.loads(item.data)
    assert data["id"] == data["identifier"] == "F81401"
    assert data["step"]["version"] == data["version"] == 3
    assert data["status"] == "provisioning"
    assert data["progress"]["message"] == "Syncing users (1 of 2)…"
    assert [step["id"] for step in data["provisioning_progress"]] == ["link", "users", "active"]


def test_failure_is_in_focus_before_what_runs() -> None:
    """People look at what failed, then at what runs, then at what was done last."""
    focus: dict[tuple[StepStatus, ...], str] = {
        (C, F, P): "users",
        (C, P, N): "users",
        (C, C, N): "users",
        (N, N, N): "link",
    }
    for steps, expected in focus.items():
        picture: Picture = view(1, steps).picture
        assert in_focus(picture).id == expected


def test_who_knows_a_run_is_told_its_picture_and_no_end() -> None:
    """After the broker was away, what is known already is told again, but no end twice."""
    told_again = told(again(view(4, (C, C, C), Status.ACTIVE), NOW))
    assert told_again == [(UPDATED, step, "completed") for step in ("link", "users", "active")]


def test_a_step_that_takes_too_long_is_told_as_overdue() -> None:
    """A step that has its share of the 300 s behind it is late, and says so in the update."""
    running = view(3, (C, P, N))
    assert late_step(running, NOW + timedelta(seconds=200)) is None
    assert late_step(running, NOW + timedelta(seconds=300)) == "users"
    (item,) = reminder(running, NOW + timedelta(seconds=300))
    assert told([item]) == [(UPDATED, "users", "pending")]
    assert json.loads(item.data)["overdue"]["step"] == "users"
    assert late_step(view(4, (C, C, C), Status.ACTIVE), LATER) is None


def test_no_wait_ends_in_the_past() -> None:
    """Until when a run waits is told while that is to come; who subscribes later hears only why."""
    delay = Waiting(step=Step.LINK, code="maintenance", message="Later.", until=LATER, attempt=1, tries=1)
    waits = view(3, (P, N, N))
    waits = waits._replace(picture=waits.picture.model_copy(update={"waiting": delay}))
    for time, until in ((NOW, "2026-01-01T11:00:00Z"), (LATER, None)):
        waiting = json.loads(current(waits, time)[0].data)["waiting"]
        assert (waiting["message"], waiting["until"]) == ("Later.", until)
