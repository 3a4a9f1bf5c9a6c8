"""What caused the work at hand, carried through every hop without passing it by hand."""

import os
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, NamedTuple

import structlog

from backbone import tracing

if TYPE_CHECKING:
    from backbone.envelope import Envelope


class Context(NamedTuple):
    """``cause`` is the id of the event being handled; ``traceparent`` is W3C Trace Context's header value."""

    cause: str | None = None
    traceparent: str | None = None


current: ContextVar[Context] = ContextVar("current", default=Context())  # noqa: B039 - a NamedTuple of None cannot change


def new_traceparent() -> str:
    """A fresh, unsampled trace: ids to search logs by even where tracing is off."""
    ids = os.urandom(24).hex()
    return f"00-{ids[:32]}-{ids[32:]}-00"


class caused_by:  # noqa: N801 - reads as a phrase: with caused_by(envelope)
    """Makes an event the cause of whatever is emitted and logged meanwhile."""

    def __init__(self, envelope: "Envelope") -> None:
        self._envelope = envelope

    def __enter__(self) -> None:
        e = self._envelope
        self._span = tracing.span(e.type, "CONSUMER", e.traceparent, uca__identifier=e.data.identifier, uca__event=e.id)
        self._token = current.set(Context(e.id, self._span.__enter__()))
        self._logged = structlog.contextvars.bind_contextvars(correlation=e.correlation, event_id=e.id)

    def __exit__(self, *error: Any) -> None:
        structlog.contextvars.reset_contextvars(**self._logged)
        current.reset(self._token)
        self._span.__exit__(*error)
