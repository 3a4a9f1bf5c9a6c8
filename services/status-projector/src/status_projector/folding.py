"""The fold, in a transaction: what was known, the events, what is known then."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from backbone.database import Transaction
from contracts.status import Picture

from status_projector import tables
from status_projector.facts import Facts, Known, Request, fold, recount
from status_projector.projections import opening, picture
from status_projector.tables import Entry


class Change(NamedTuple):
    """What a fold did to one project's picture; ``before`` is the opening picture where a run has just begun."""

    identifier: str
    facts: Facts
    request: Request
    before: Picture
    after: Picture

    @property
    def just_ended(self) -> bool:
        """True in one fold of a run, the one that brought its end."""
        return self.before.completed_at is None and self.after.completed_at is not None


class Folded(NamedTuple):
    """The events that came for the first time, and the projects whose picture is another one now."""

    events: Sequence[Entry] = ()
    changes: Sequence[Change] = ()


async def fold_into(tx: Transaction, entries: Collection[Entry]) -> Folded:
    """Logs events and folds those that are new."""
    fresh = await tables.log(tx, entries)
    if not fresh:
        return Folded()
    by_project = defaultdict(list)
    for entry in fresh:
        by_project[entry.event.identifier].append(entry)
    facts = await tables.lock(tx, by_project)
    pictures = {identifier: (known.run, picture(known)) for identifier, known in facts.items() if known}
    projects = {identifier: Known(known) for identifier, known in facts.items()}
    await _load_reports(tx, projects, fresh)
    for entry in fresh:
        fold(projects[entry.event.identifier], entry.event, entry.mark)
    for identifier, known in projects.items():
        if known.recount and known.facts:
            stored = await tables.all_reports(tx, identifier, known.facts.run)
            recount(known, {**stored, **{user: known.users[user] for user in known.told}}.values())
    await tables.save(tx, projects)
    return Folded(fresh, _changes(projects, pictures))


async def _load_reports(tx: Transaction, projects: Mapping[str, Known], fresh: Sequence[Entry]) -> None:
    asked = {
        (entry.event.identifier, user_id)
        for entry in fresh
        if (user_id := getattr(entry.event, "user_id", None)) is not None
    }
    if asked:
        for (identifier, user_id), report in (await tables.reports(tx, sorted(asked))).items():
            projects[identifier].users[user_id] = report


def _changes(projects: Mapping[str, Known], pictures: Mapping[str, tuple[int, Picture | None]]) -> list[Change]:
    changes = []
    for identifier, known in projects.items():
        facts = known.facts
        if facts is None or facts.request is None or (after := picture(facts)) is None:
            continue
        run, shown = pictures.get(identifier, (None, None))
        before = shown if shown and run == facts.run else opening(facts.request)
        if before != after:
            changes.append(Change(identifier, facts, facts.request, before, after))
    return changes
