"""What is measured and logged of runs that end."""

from collections.abc import Sequence

from contracts import events
from contracts.events import Event
from prometheus_client import REGISTRY
from status_projector.facts import Facts, Known, Mark, fold
from status_projector.folding import Change
from status_projector.metrics import observe_end, outcome
from status_projector.projections import opening, picture
from status_projector.testing import failed, linked, requested, synced, told
from structlog.testing import capture_logs

REMOVED = (
    requested(events.RemovalRequested),
    events.LinkRemoved(identifier="F81401", run=1, provider_project_id=None),
)
CANCELLED = (requested(events.ProvisioningCancelled, cancelled_by="ann"),)
FAILED = (requested(), failed())


def ended(story: Sequence[Event]) -> Change:
    """The change that a whole story made."""
    known = Known(Facts(run=0))
    for each in told(story):
        fold(known, each.data, Mark(each.time, each.id))
    facts = known.facts
    assert facts
    assert facts.request
    after = picture(facts)
    assert after
    return Change("F81401", facts, facts.request, opening(facts.request), after)


def test_an_outcome_is_a_word_for_how_a_run_ended() -> None:
    """A cancelled run is no failure, and a removed project is not a suspended one."""
    stories = ((requested(users=1), linked(), synced(1)), FAILED, CANCELLED, REMOVED)
    assert [outcome(ended(story)) for story in stories] == ["active", "failed", "cancelled", "removed"]


def test_a_failed_run_is_logged_with_its_error() -> None:
    """As an error, with the project."""
    with capture_logs() as logs:
        observe_end(ended(FAILED), slow_seconds=300)
        observe_end(ended(CANCELLED), slow_seconds=300)
    assert logs == [
        {
            "event": "provisioning.failed",
            "log_level": "error",
            "identifier": "F81401",
            "run": 1,
            "error": "the cloud refused",
        }
    ]


def test_a_slow_run_is_counted_and_logged() -> None:
    """One that took longer than it may, whatever came of it."""
    labels = {"provider": "zadara", "region": "r1", "outcome": "removed"}
    before = REGISTRY.get_sample_value("uca_provisioning_slow_total", labels) or 0
    with capture_logs() as logs:
        observe_end(ended(REMOVED), slow_seconds=2)
        observe_end(ended(REMOVED), slow_seconds=1.5)
    assert [(each["event"], each["seconds"]) for each in logs] == [("provisioning.slow", 2.0)]
    assert REGISTRY.get_sample_value("uca_provisioning_slow_total", labels) == before + 1
