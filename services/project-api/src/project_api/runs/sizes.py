"""How large a run may be: its event names every participant, and one message must hold it."""

from collections.abc import Sequence

from backbone.envelope import MAX_BODY_BYTES
from contracts.events import Participant, RunRequested
from pydantic_core import to_json

from project_api.web.errors import Problem, invalid

LARGEST = MAX_BODY_BYTES - 4096
"""Bytes of an event that a message holds beside its envelope."""

LARGEST_NEW = LARGEST - 256 * 1024
"""Of one whose participants are being worked out: the rest is for what users become later, so that a run of these
participants can be cancelled and the project removed."""


def size(event: RunRequested) -> int:
    """Bytes of the event in its message; a larger one than :data:`LARGEST` would never leave."""
    return len(to_json(event))


def too_many(everybody: Sequence[Participant]) -> Problem:
    """The 422 of participants whom one message doesn't hold: nobody would ever hear of the run."""
    words = f"The project has too many participants: {len(everybody)}. Name fewer users, or remove some of its tenant."
    return invalid("participants", words)
