"""One thing that is not as it should be."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """``project`` is whose history shows how it came about, where it is one project's; ``found`` is the evidence."""

    project: str | None
    words: str
    found: object
