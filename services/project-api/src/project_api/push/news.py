"""What a project's watchers are told when its status moves: pure, from what they were told last to what is so now."""

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from contracts.status import Picture, Status, StepPicture, StepStatus
from pydantic_core import to_json

from project_api.runs import pictures

UPDATED = "ProjectProvisioningUpdated"
COMPLETED = "ProjectProvisioningCompleted"
FAILED = "ProjectProvisioningFailed"

LATECOMERS = timedelta(seconds=60)
"""Who subscribes within this time after a run's end is told of the end: they were on their way when it came."""

_ENDS = {Status.ACTIVE: COMPLETED, Status.FAILED: FAILED}


class View(NamedTuple):
    """A project's status at one moment. ``version`` rises within a run; 0 is a run that was only asked for."""

    identifier: str
    run: int
    version: int
    picture: Picture

    @property
    def position(self) -> tuple[int, int]:
        """Of two views of a project, the one with the higher position is newer."""
        return self.run, self.version

    @property
    def ended_at(self) -> datetime | None:
        return self.picture.completed_at


class News(NamedTuple):
    """One event for the watchers; ``data`` is JSON."""

    event: str
    data: str


def news(before: View | None, now: View, moved: Collection[str], time: datetime) -> list[News]:
    """One update for each step that moved, the end of the run where it came, then one more update.

    Pages fetch everything again on an update, and the one after the end finds the project's final state. Steps that
    moved in views which never arrived are found by comparing, so nobody misses one. ``time`` is when this is told.
    """
    before = before if before is not None and before.run == now.run else None
    updates = [_news(UPDATED, now, step, time) for step in _moved(before, now, moved)]
    end = _ENDS.get(now.picture.status) if now.ended_at else None
    if end is None or (before is not None and before.ended_at):
        return updates
    last = in_focus(now.picture)
    return [*updates, _news(end, now, last, time), _news(UPDATED, now, last, time)]


def current(now: View, time: datetime) -> list[News]:
    """The whole picture for somebody who knows nothing of it yet."""
    if now.ended_at is not None and time - now.ended_at < LATECOMERS:
        return news(None, now, (), time)
    return again(now, time)


def again(now: View, time: datetime) -> list[News]:
    """The whole picture, for somebody who knows whether the run has ended."""
    return [_news(UPDATED, now, step, time) for step in _moved(None, now, ())]


def late_step(view: View, time: datetime) -> str | None:
    """The step that takes longer than its share of the time, which nothing but time makes true."""
    late = pictures.overdue(view.picture.model_dump(mode="json"), view.picture.started_at or time, time)
    return None if late is None else str(late["step"])


def reminder(view: View, time: datetime) -> list[News]:
    """An update on the step that runs though it has not moved."""
    return [_news(UPDATED, view, in_focus(view.picture), time)]


def in_focus(picture: Picture) -> StepPicture:
    """The step that people look at: what failed, else what runs, else what was completed last."""
    for status in (StepStatus.FAILED, StepStatus.PENDING):
        if found := [step for step in picture.steps if step.status is status]:
            return found[0]
    done = [step for step in picture.steps if step.status is StepStatus.COMPLETED]
    return done[-1] if done else picture.steps[0]


def _moved(before: View | None, now: View, moved: Collection[str]) -> Sequence[StepPicture]:
    """The steps to tell of, in their order; where none moved, but the progress did, the one in focus."""
    was = {step.id: step.status for step in before.picture.steps} if before else {}
    steps = now.picture.steps
    changed = [s for s in steps if s.id in moved or s.status is not was.get(s.id, StepStatus.NOT_STARTED)]
    return changed or [in_focus(now.picture)]


def _news(event: str, view: View, step: StepPicture, time: datetime) -> News:
    picture = view.picture
    shown = picture.model_dump(mode="json")
    data: dict[str, Any] = {
        "id": view.identifier,
        "identifier": view.identifier,
        "step": {**step.model_dump(mode="json"), "version": view.version},
        "status": picture.status,
        "progress": picture.progress,
        "provisioning_progress": picture.steps,
        "error": picture.error,
        "failure": picture.failure,
        "waiting": pictures.waiting(shown, time),
        "overdue": pictures.overdue(shown, picture.started_at or time, time),
        "run": view.run,
        "version": view.version,
    }
    return News(event, to_json(data).decode())
