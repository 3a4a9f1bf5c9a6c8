"""The projector's metrics, which alerts go by. Durations are seconds, from a run's request to its end."""

import structlog
from contracts.status import Kind, Status
from prometheus_client import Counter, Gauge, Histogram

from status_projector.folding import Change

log = structlog.get_logger()

LABELS = ("provider", "region", "outcome")
BUCKETS = (0.5, 1, 2, 5, 10, 20, 30, 60, 120, 180, 240, 300, 450, 600, 1200, 3600, 14400, 86400)

DURATION = Histogram(
    "uca_provisioning_duration_seconds", "Runs that ended, by how long they took", LABELS, buckets=BUCKETS
)
SLOW = Counter("uca_provisioning_slow_total", "Runs that ended later than SLOW_SECONDS after their request", LABELS)
EVENTS = Counter("uca_projector_events_total", "Events folded for the first time")
LAG = Gauge("uca_projector_lag_seconds", "The longest way from an event to its fold since the last look")
PUSH_DROPPED = Counter("uca_status_changed_dropped_total", "StatusChanged that were not sent; polling still has them")


def outcome(change: Change) -> str:
    """How a run ended: active, failed, cancelled, suspended or removed."""
    if change.after.kind is Kind.CANCEL:
        return "cancelled"
    if change.after.kind is Kind.REMOVE and change.after.status is Status.SUSPENDED:
        return "removed"
    return change.after.status.value


def observe_end(change: Change, slow_seconds: float) -> bool:
    """Counts a run that has just ended, and names it in the log where it failed or took too long; whether it did."""
    picture, request, how = change.after, change.request, outcome(change)
    assert picture.completed_at is not None  # noqa: S101 - it ended
    seconds = max(0.0, (picture.completed_at - request.requested_at).total_seconds())
    labels = (request.provider, request.region, how)
    DURATION.labels(*labels).observe(seconds)
    if how == "failed":
        log.error("provisioning.failed", identifier=change.identifier, run=change.facts.run, error=picture.error)
    if seconds > slow_seconds:
        SLOW.labels(*labels).inc()
        log.warning(
            "provisioning.slow", identifier=change.identifier, run=change.facts.run, seconds=seconds, outcome=how
        )
    return seconds > slow_seconds
