"""What project-api listens to."""

from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from project_api.handlers import HANDLERS
from project_api.runs.rules import EVENTS


def test_handlers_match_the_subscriptions() -> None:
    """Every binding has its handler, and every handler its binding."""
    assert {event.routing_key for event in HANDLERS} == set(SUBSCRIPTIONS["project-api"])


def test_it_says_only_what_it_may() -> None:
    """The broker refuses any other routing key."""
    assert {event.routing_key for event in EVENTS.values()} | {"provisioning.failed"} <= set(
        PUBLICATIONS["project-api"]
    )
