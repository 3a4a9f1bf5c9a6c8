"""The fold, in a transaction: what was known, the events, what is known then."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from backbone.database import Transaction
from contracts.status import Picture

from status_projector import tables
from status_projector.facts import Facts, Known, Request, fold, recount
from status_projector.projections import opening
from status_projector.tables import Entry, Stored


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
    before = await tables.lock(tx, {entry.event.identifier for entry in fresh})
    projects = {identifier: Known(row.facts) for identifier, row in before.items()}
    await _load_reports(tx, projects, fresh)
    for entry in fresh:
        fold(projects[entry.event.identifier], entry.event, entry.mark)
    for identifier, known in projects.items():
        if known.recount and known.facts:
            reports = await tables.all_reports(tx, identifier, known.facts.run)
            recount(known, {**reports, **{user: known.users[user] for user in known.told}}.values())
    after = await tables.save(tx, projects)
    return Folded(fresh, [each for name, row in after.items() if (each := _change(name, before[name], row))])


async def _load_reports(tx: Transaction, projects: Mapping[str, Known], fresh: Sequence[Entry]) -> None:
    asked = {
        (entry.event.identifier, user_id)
        for entry in fresh
        if (user_id := getattr(entry.event, "user_id", None)) is not None
    }
    if asked:
        for (identifier, user_id), report in (await tables.reports(tx, sorted(asked))).items():
            projects[identifier].users[user_id] = report


def _change(identifier: str, old: Stored, new: Stored) -> Change | None:
    if new.facts is None or new.facts.request is None or new.picture is None:
        return None
    # A newer run has facts of its own, and begins with what project-api shows before they come.
    same_run = new.facts is old.facts
    before = (old.picture if same_run else None) or opening(new.facts.request)
    return None if before == new.picture else Change(identifier, new.facts, new.facts.request, before, new.picture)
