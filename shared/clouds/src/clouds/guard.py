"""Whether whoever calls a cloud still may, asked beside the work and not through every signature."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

Guard = Callable[[], None]
"""Raises when the lease is lost or the run superseded."""

_current: ContextVar[Guard | None] = ContextVar("cloud_guard", default=None)


def ask_guard() -> None:
    """One request is about to be sent."""
    if (guard := _current.get()) is not None:
        guard()


@contextmanager
def guarded_by(guard: Guard) -> Iterator[None]:
    """Asks ``guard`` right before every request sent within, repeats and reads too: once it raises, nothing is sent any
    more, however long a call waited for its turn.
    """
    token = _current.set(guard)
    try:
        yield
    finally:
        _current.reset(token)
