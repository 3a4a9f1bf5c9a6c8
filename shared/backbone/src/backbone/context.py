"""What caused the work at hand, carried through every hop without passing it by hand."""

import secrets
from contextvars import ContextVar
from typing import NamedTuple


class Context(NamedTuple):
    """``cause`` is the id of the event being handled; ``traceparent`` is W3C Trace Context's header value."""

    cause: str | None = None
    traceparent: str | None = None


current: ContextVar[Context] = ContextVar("current", default=Context())  # noqa: B039 - a NamedTuple of None cannot change


def new_traceparent() -> str:
    """A fresh, unsampled trace: ids to search logs by even where tracing is off."""
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
