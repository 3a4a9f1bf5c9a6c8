"""Every recorded event has one handler, which folds all that wait in one transaction."""

from collections.abc import Mapping, Sequence
from datetime import UTC

from backbone.context import Context
from backbone.database import Transaction
from backbone.envelope import Envelope, pack, seal
from backbone.handlers import Folding
from contracts.events import RECORDED, Event, StatusChanged

from status_projector import metrics
from status_projector.announcing import Announcer
from status_projector.facts import Mark
from status_projector.folding import Change, fold_into
from status_projector.projections import moved_steps
from status_projector.running import Running
from status_projector.tables import Entry


async def fold_events(
    envelopes: Sequence[Envelope], *, tx: Transaction, announcer: Announcer, running: Running, slow_seconds: float
) -> None:
    """Folds events into the read model; what watchers and metrics are told waits for the commit."""
    folded = await fold_into(tx, [_entry(envelope) for envelope in envelopes])
    now = await tx.time()
    cause = Context(envelopes[-1].id, envelopes[-1].traceparent)
    told = [seal(_changed(each), source="status-projector", time=now, context=cause) for each in folded.changes]
    messages = pack(told)

    def tell() -> None:
        metrics.EVENTS.inc(len(folded.events))
        for entry in folded.events:
            running.folded((now - entry.mark.time).total_seconds())
        for change in folded.changes:
            if change.just_ended and metrics.observe_end(change, slow_seconds):
                running.ended_late(change.identifier, change.after)
        for message in messages:
            announcer.offer(message)

    tx.committed.append(tell)


def _entry(envelope: Envelope) -> Entry:
    """The event as it can be stored: PostgreSQL's text knows no NUL, and what was folded must be what was logged."""
    event: Event = envelope.data
    data = event.model_dump_json()
    if "\\u0000" in data:
        data = data.replace("\\u0000", "\\ufffd")
        event = type(event).model_validate_json(data)
    return Entry(event, Mark(envelope.time.astimezone(UTC), envelope.id), data)


def _changed(change: Change) -> StatusChanged:
    return StatusChanged(
        identifier=change.identifier,
        run=change.facts.run,
        read_version=change.facts.version,
        tenant_id=change.request.tenant_id,
        picture=change.after.model_dump_json(),
        steps=moved_steps(change.before, change.after),
    )


HANDLERS: Mapping[type[Event], Folding] = dict.fromkeys(RECORDED, Folding(fold_events))
