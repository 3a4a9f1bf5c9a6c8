"""Events, and the tables of who listens and who speaks."""

import pytest
from contracts import events, subscriptions
from contracts.events import RECORDED, Event, StatusChanged
from contracts.status import KINDS
from pydantic import ValidationError


def test_every_recorded_event_has_a_routing_key_of_its_own() -> None:
    """Two events with one key could not be told apart by a binding."""
    keys = [event.routing_key for event in RECORDED]
    assert len(set(keys)) == len(keys)


def test_every_event_of_the_module_is_recorded_or_for_push() -> None:
    """A new event that is forgotten in RECORDED would never reach the timeline."""
    keyed = {
        k for k in vars(events).values() if isinstance(k, type) and issubclass(k, Event) and hasattr(k, "routing_key")
    }
    assert keyed == {*RECORDED, StatusChanged}


def test_the_projector_hears_everything_that_lasts() -> None:
    """So every durable event has a home, and a returned publish means a broken topology."""
    assert set(subscriptions.SUBSCRIPTIONS["status-projector"]) == {event.routing_key for event in RECORDED}


def test_whatever_is_heard_is_said_by_somebody() -> None:
    """A binding for a key that no service may publish would wait for ever."""
    said = {key for keys in subscriptions.PUBLICATIONS.values() for key in keys}
    assert {key for keys in subscriptions.SUBSCRIPTIONS.values() for key in keys} <= said


def test_an_event_cannot_be_changed_and_ignores_what_it_does_not_know() -> None:
    """A field may be added by a newer version at any time."""
    event = events.LinkRemoved.model_validate({"identifier": "P", "run": 1, "provider_project_id": None, "new": True})
    assert not hasattr(event, "new")
    with pytest.raises(ValidationError):
        event.run = 2


def test_every_request_of_a_run_says_what_the_run_is_for() -> None:
    """A request without a kind could not be worked on."""
    assert set(KINDS) == set(events.RunRequested.__subclasses__())
