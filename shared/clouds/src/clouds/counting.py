"""How many calls a piece of work made on clouds, counted beside it and not through every signature."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar


class CallCount:
    """Grows while the work runs, in its tasks too."""

    __slots__ = ("made",)

    def __init__(self) -> None:
        self.made = 0


_current: ContextVar[CallCount | None] = ContextVar("cloud_calls", default=None)


def count_call() -> None:
    """One request is about to be sent."""
    if (count := _current.get()) is not None:
        count.made += 1


@contextmanager
def counting_calls() -> Iterator[CallCount]:
    """Counts every request sent within, repeats and logins too; an outer count gets them as well."""
    outer, count = _current.get(), CallCount()
    token = _current.set(count)
    try:
        yield count
    finally:
        _current.reset(token)
        if outer is not None:
            outer.made += count.made
