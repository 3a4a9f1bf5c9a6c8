"""Runs told as events, for the tests: a story begins at one o'clock, and each event comes a second after the last."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import NAMESPACE_URL, uuid5

from backbone.envelope import Envelope
from contracts import events
from contracts.events import Event, Participant, Step

BEGIN = datetime(2026, 1, 1, 13, 0, tzinfo=UTC)
PROJECT = "F81401"


def person(user_id: int) -> Participant:
    """A participant who is known by their number."""
    return Participant(user_id=user_id, email=f"u{user_id}@x.org", name=f"U{user_id}", role="member")


def requested(kind: type[Event] = events.ProjectCreated, users: int = 2, run: int = 1, **more: Any) -> Event:
    """A command for users 1, 2, … of the project."""
    given: dict[str, Any] = {
        "identifier": PROJECT,
        "run": run,
        "name": "Shop",
        "tenant_id": 5,
        "provider": "zadara",
        "region": "r1",
        "participants": tuple(person(n) for n in range(1, users + 1)),
        "requested_at": BEGIN,
        "deadline_at": BEGIN + timedelta(days=1),
    }
    return kind(**(given | more))


def linked(run: int = 1) -> Event:
    """The link is there."""
    return events.LinkEnsured(
        identifier=PROJECT, run=run, provider="zadara", region="r1", provider_project_id="p", outcome="created"
    )


def orphan() -> Event:
    """A cloud project bears the project's mark, and should not be there."""
    return events.OrphanFound(
        identifier=PROJECT, run=0, provider="zadara", region="r1", provider_project_id="p", name="Shop-F81401"
    )


def synced(user_id: int, run: int = 1) -> Event:
    """A user has what was asked."""
    return events.UserSynced(identifier=PROJECT, run=run, user_id=user_id, role="member")


def revoked(user_id: int, run: int = 1) -> Event:
    """A user has no access any more."""
    return events.UserRevoked(identifier=PROJECT, run=run, user_id=user_id)


def failed(user_id: int | None = None, run: int = 1, step: Step = Step.USERS, code: str = "refused") -> Event:
    """A step was given up, for one user or for all."""
    return events.ProvisioningFailed(
        identifier=PROJECT,
        run=run,
        step=step,
        code=code,
        message="the cloud refused",
        retryable=True,
        tries=3,
        user_id=user_id,
        email=f"u{user_id}@x.org" if user_id else None,
    )


def delayed(step: Step = Step.LINK, run: int = 1, code: str = "rate") -> Event:
    """A step waits."""
    return events.ProvisioningDelayed(
        identifier=PROJECT,
        run=run,
        step=step,
        code=code,
        message="the cloud asks for patience",
        until=BEGIN + timedelta(minutes=1),
        attempt=2,
        tries=3,
    )


def told(story: Iterable[Event], *, after: int = 0) -> Sequence[Envelope]:
    """The story in envelopes; two stories of a project have different ids where ``after`` (seconds) sets them apart."""
    return [
        Envelope(
            id=str(uuid5(NAMESPACE_URL, f"{event.identifier}/{second}")),
            source="test",
            time=BEGIN + timedelta(seconds=second),
            data=event,
            correlation=f"{event.identifier}/{event.run}",
        )
        for second, event in enumerate(story, start=after + 1)
    ]
