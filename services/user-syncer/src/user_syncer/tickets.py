"""Tickets: one message for each chunk, so that the queue's depth is honest. Which chunk a ticket gets is not in it."""

from dataclasses import replace
from datetime import datetime

from backbone import topology
from backbone.context import current
from backbone.envelope import Message, pack, seal
from backbone.retries import RUNGS, rung_for
from contracts.events import Event
from contracts.subscriptions import USER_SYNCER_CHUNK_PLANNED

SERVICE = "user-syncer"


class ChunkPlanned(Event):
    """There is a chunk to be carried out; whoever hears it takes the fairest one, of whichever project.

    ``region``, ``tenant_id`` and ``users`` (how many) tell whether there is room for such a one.
    """

    routing_key = USER_SYNCER_CHUNK_PLANNED

    region: str
    tenant_id: int | None = None
    users: int


def ticket(event: ChunkPlanned, time: datetime) -> Message:
    """A message of its own: tickets of one transaction must not travel as a batch, or one replica would get all."""
    return pack([seal(event, source=SERVICE, time=time, context=current.get())])[0]


def later(message: Message, delay: float, scale: float) -> Message:
    """The ticket for a chunk that waits ``delay`` seconds; ``scale`` is the broker's (RETRY_SCALE)."""
    return replace(
        message,
        exchange=topology.names(SERVICE).retry,
        routing_key=rung_for(delay),
        headers={"routing-key": message.routing_key},
        expiration_ms=max(1, int(min(delay, max(RUNGS.values())) * 1000 * scale)),
    )
