import base64
import hashlib
import re
from typing import Any

import pytest
from backbone import topology
from backbone.retries import RUNGS

DEFINITIONS = topology.definitions(
    {"shop": ("order.placed", "order.paid"), "audit": ("#",)},
    {"shop": ("parcel.sent", "dead-letters.*"), "audit": ()},
    {"shop": "hash-1", "audit": "hash-2"},
    vhost="here",
    watchers={"shop": "news.moved"},
    retry_scale=0.1,
)


def of(kind: str, **fields: str) -> list[dict[str, Any]]:
    return [each for each in DEFINITIONS[kind] if all(each.get(key) == value for key, value in fields.items())]


def test_every_queue_is_a_durable_quorum_queue_without_other_arguments() -> None:
    """What may ever change is a policy, for arguments that differ are refused."""
    queues = DEFINITIONS["queues"]
    assert all(queue["durable"] and queue["arguments"] == {"x-queue-type": "quorum"} for queue in queues)
    assert {queue["name"] for queue in queues if queue["name"].startswith("shop.")} == {
        "shop.work",
        "shop.parked",
        *(f"shop.retry.{rung}" for rung in RUNGS),
    }


def test_the_target_of_dead_letters_comes_first() -> None:
    """A queue that dead-letters to what doesn't exist yet hides messages."""
    names = [queue["name"] for queue in DEFINITIONS["queues"]]
    assert names.index("shop.parked") < names.index("shop.work") < names.index("shop.retry.5s")


def test_a_service_gets_its_events_and_its_dead_letter_commands() -> None:
    """And nothing else goes to its work queue from the events."""
    keys = {each["routing_key"] for each in of("bindings", source="events", destination="shop.work")}
    assert keys == {"order.placed", "order.paid", "dead-letters.shop.*"}


def test_a_rung_goes_back_to_the_work_queue_after_its_time() -> None:
    """With the time scaled for tests, and at-least-once."""
    (policy,) = of("policies", name="shop.retry.30s")
    assert policy["definition"] == {
        "message-ttl": 3000,
        "dead-letter-exchange": "",
        "dead-letter-routing-key": "shop.work",
        "dead-letter-strategy": "at-least-once",
        "overflow": "reject-publish",
    }


def test_dead_lettering_is_at_least_once_everywhere() -> None:
    """Without reject-publish the broker falls back to at-most-once and doesn't say so."""
    for policy in DEFINITIONS["policies"]:
        if policy["name"].endswith(".parked"):
            continue  # the last place there is
        assert policy["definition"]["dead-letter-strategy"] == "at-least-once"
        assert policy["definition"]["overflow"] == "reject-publish"


@pytest.mark.parametrize("queue", ["shop.work", "shop.parked", "shop.retry.5s"])
def test_a_policy_means_one_queue(queue: str) -> None:
    """Its pattern is anchored and its dots are dots."""
    (policy,) = of("policies", name=queue)
    assert re.match(policy["pattern"], queue)
    assert not re.match(policy["pattern"], queue.replace(".", "-"))
    assert not re.match(policy["pattern"], queue + "2")


@pytest.mark.parametrize(
    ("right", "allowed", "refused"),
    [
        ("configure", ["shop.push.1"], ["shop.work", "events", "audit.push.1"]),
        ("write", ["events", "shop.retry", "shop.dlx", "shop.push.1"], ["amq.default", "audit.retry", "shop.work"]),
        ("read", ["shop.work", "shop.parked", "events", "shop.push.1"], ["audit.work", "shop.retry.5s"]),
    ],
)
def test_a_service_that_pushes_has_rights_on_its_own(right: str, allowed: list[str], refused: list[str]) -> None:
    """Its queues, its exchanges, and push queues under its name."""
    (permission,) = of("permissions", user="shop")
    assert all(re.search(permission[right], name) for name in allowed)
    assert not any(re.search(permission[right], name) for name in refused)


def test_a_service_that_does_not_push_may_configure_nothing() -> None:
    """The empty name is the only one that matches."""
    (permission,) = of("permissions", user="audit")
    assert permission["configure"] == "^$"
    assert not re.search(permission["read"], "events")


@pytest.mark.parametrize(
    ("service", "key", "may"),
    [
        ("shop", "parcel.sent", True),
        ("shop", "dead-letters.audit.replay", True),
        ("shop", "order.placed", False),
        ("shop", "parcel_sent", False),
        ("audit", "", False),
        ("audit", "parcel.sent", False),
    ],
)
def test_a_service_says_only_what_is_its_to_say(service: str, key: str, may: bool) -> None:
    """One that publishes nothing can publish nothing."""
    (permission,) = of("topic_permissions", user=service)
    assert bool(re.search(permission["write"], key)) is may


def test_a_password_hash_is_rabbitmqs_salted_sha256() -> None:
    """Salt, then the digest of salt and password; another salt each time."""
    raw = base64.b64decode(topology.password_hash("secret"))
    assert raw[4:] == hashlib.sha256(raw[:4] + b"secret").digest()
    assert topology.password_hash("secret") != topology.password_hash("secret")
