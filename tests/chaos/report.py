"""What a person reads: what was asked and done, one line for each check, and the story of what is wrong."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from tests.chaos.history import History
from tests.chaos.observed import World
from tests.chaos.violation import Violation

LONGEST = 1500
"""Characters of a violation's evidence."""


def operations(history: History, rest: float) -> str:
    """How often each operation was answered with what, and each blow was struck."""
    answers: dict[str, Counter[str]] = {}
    for each in history.sent:
        answers.setdefault(each.name, Counter())[str(each.status or "no answer")] += 1
    lines = [
        f"  {name:18} {', '.join(f'{status}: {count}' for status, count in sorted(found.items()))}"
        for name, found in sorted(answers.items())
    ]
    struck = Counter(each.words.partition(" {")[0] for each in history.strikes)
    blows = ", ".join(f"{words} ×{count}" for words, count in sorted(struck.items()))
    return "\n".join([f"{len(history.sent)} operations", *lines, f"  {blows}", f"at rest after {rest:.1f} s"])


def checks(found: Mapping[str, Sequence[Violation]]) -> str:
    """One line for each check."""
    return "\n".join(
        f"{'ok  ' if not violations else 'FAIL'} {sentence}" + (f": {len(violations)}" if violations else "")
        for sentence, violations in found.items()
    )


def stories(found: Mapping[str, Sequence[Violation]], history: History, world: World) -> Iterator[str]:
    """Each violation, and once for each project what was asked of it, what was broken, and what it went through."""
    told = set[str]()
    for violation in (each for violations in found.values() for each in violations):
        yield f"\nVIOLATION {violation.project or ''}: {violation.words}\n  found: {str(violation.found)[:LONGEST]}"
        if violation.project and violation.project not in told:
            told.add(violation.project)
            yield story(violation.project, history, world)


def whole(history: History) -> str:
    """Everything that was sent and struck: for what is no one project's, as a message that is left."""
    return "".join(f"{time:%H:%M:%S.%f} {words}\n" for time, words in sorted(history.all()))


def story(identifier: str, history: History, world: World) -> str:
    """By time: what was asked of the project and of its users (>), what was broken (*), and its events (=)."""
    seen = world.seen.get(identifier)
    events = [
        (datetime.fromisoformat(each["time"]), f"= run {each['run']} {each['type']}: {each['message']}")
        for each in reversed(seen.events if seen else ())
    ]
    participants = [user["id"] for user in (seen.detail["users"] if seen else ())]
    lines = sorted([*history.of(identifier, participants), *events], key=lambda line: line[0])
    return "\n".join([f"  the story of {identifier}:", *(f"  {time:%H:%M:%S.%f} {words}" for time, words in lines)])
