"""Names and arguments of exchanges, queues, policies and rights: pure. They are spelled here alone, but for the
exchange that messages name themselves (:data:`backbone.envelope.EVENTS`).

A deploy step imports :func:`definitions`; services open what is there passively, with rights too small to change it.
What may ever change is a policy, for a queue whose arguments differ is refused (406).
"""

import base64
import hashlib
import re
import secrets
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from backbone.envelope import EVENTS
from backbone.retries import RUNGS

DELIVERY_LIMIT = 50
"""Redeliveries before a message is parked; above what a service killed every 3 s for 5 minutes can cause."""

NEVER = 1_000_000
"""The delivery limit of dead letters. RabbitMQ 4 drops what it has delivered 20 times where no limit is set."""

MAX_LENGTH = 500_000
"""Messages a work queue holds before publishes are refused; they then stay in the outbox."""


class Names(NamedTuple):
    """The queues and exchanges of one service."""

    work: str
    parked: str
    retry: str
    dlx: str
    dead_letters: str


def names(service: str) -> Names:
    """Everything that belongs to ``service`` on the broker; ``dead_letters`` is the binding key of its own commands."""
    return Names(
        f"{service}.work", f"{service}.parked", f"{service}.retry", f"{service}.dlx", f"dead-letters.{service}.*"
    )


def retry_queue(service: str, rung: str) -> str:
    """The queue that holds a message of ``service`` for the time of ``rung``."""
    return f"{service}.retry.{rung}"


def push_queue(service: str, instance: str) -> str:
    """A replica's own, short-lived queue for what its watchers are told."""
    return f"{service}.push.{instance}"


def password_hash(password: str) -> str:
    """RabbitMQ's salted SHA-256, so that a definitions file carries no password."""
    salt = secrets.token_bytes(4)
    return base64.b64encode(salt + hashlib.sha256(salt + password.encode()).digest()).decode()


def definitions(
    subscriptions: Mapping[str, Sequence[str]],
    publications: Mapping[str, Sequence[str]],
    password_hashes: Mapping[str, str],
    *,
    vhost: str = "/",
    watchers: Mapping[str, str] | None = None,
    retry_scale: float = 1.0,
) -> dict[str, Any]:
    """The broker's definitions document for services that listen and publish as the tables say.

    ``watchers`` maps a service that opens push queues to the routing key that they are bound with. ``retry_scale``
    shortens the rungs (tests); services must be given the same.
    """
    services = list(subscriptions)
    watchers = watchers or {}
    return {
        "vhosts": [{"name": vhost}],
        "users": [
            {"name": s, "password_hash": h, "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}
            for s, h in password_hashes.items()
        ],
        "permissions": [_permission(s, vhost, pushes=s in watchers) for s in password_hashes],
        "topic_permissions": [
            _topic_permission(s, vhost, publications.get(s, ()), watchers.get(s)) for s in password_hashes
        ],
        "exchanges": [_exchange(EVENTS, "topic", vhost)]
        + [
            e
            for s in services
            for e in (_exchange(names(s).retry, "direct", vhost), _exchange(names(s).dlx, "fanout", vhost))
        ],
        "queues": [_queue(name, vhost) for s in services for name in _queues(s)],
        "bindings": [b for s in services for b in _bindings(s, vhost, subscriptions[s])],
        "policies": [p for s in services for p in _policies(s, vhost, retry_scale)],
    }


def _queues(service: str) -> list[str]:
    # A dead-letter target that doesn't exist hides messages, so targets come before what dead-letters into them.
    return [names(service).parked, names(service).work, *(retry_queue(service, rung) for rung in RUNGS)]


def _queue(name: str, vhost: str) -> dict[str, Any]:
    arguments = {"x-queue-type": "quorum"}
    return {"name": name, "vhost": vhost, "durable": True, "auto_delete": False, "arguments": arguments}


def _exchange(name: str, kind: str, vhost: str) -> dict[str, Any]:
    flags = {"durable": True, "auto_delete": False, "internal": False, "arguments": {}}
    return {"name": name, "vhost": vhost, "type": kind, **flags}


def _binding(source: str, destination: str, key: str, vhost: str) -> dict[str, Any]:
    target = {"destination": destination, "destination_type": "queue", "routing_key": key, "arguments": {}}
    return {"source": source, "vhost": vhost, **target}


def _bindings(service: str, vhost: str, keys: Sequence[str]) -> list[dict[str, Any]]:
    own = names(service)
    return [
        *(_binding(EVENTS, own.work, key, vhost) for key in (*keys, own.dead_letters)),
        *(_binding(own.retry, retry_queue(service, rung), rung, vhost) for rung in RUNGS),
        _binding(own.dlx, own.parked, "", vhost),
    ]


def _policies(service: str, vhost: str, retry_scale: float) -> list[dict[str, Any]]:
    # Dead-lettering is at-least-once only where the overflow is reject-publish; otherwise it silently is not.
    safe = {"dead-letter-strategy": "at-least-once", "overflow": "reject-publish"}
    own = names(service)
    work = {"dead-letter-exchange": own.dlx, "delivery-limit": DELIVERY_LIMIT, "max-length": MAX_LENGTH, **safe}
    back = {"dead-letter-exchange": "", "dead-letter-routing-key": own.work, **safe}
    rungs = {
        retry_queue(service, rung): {"message-ttl": max(1, int(seconds * 1000 * retry_scale)), **back}
        for rung, seconds in RUNGS.items()
    }
    return [
        {
            "name": queue,
            "vhost": vhost,
            "pattern": f"^{re.escape(queue)}$",
            "apply-to": "queues",
            "priority": 1,
            "definition": d,
        }
        for queue, d in {own.work: work, own.parked: {"delivery-limit": NEVER}, **rungs}.items()
    ]


def _permission(service: str, vhost: str, *, pushes: bool) -> dict[str, str]:
    s = re.escape(service)
    push = rf"^{s}\.push\." if pushes else "^$"
    return {
        "user": service,
        "vhost": vhost,
        "configure": push,
        "write": rf"^({EVENTS}|{s}\.(retry|dlx))$" + (rf"|{push}" if pushes else ""),
        "read": rf"^{s}\.(work|parked)$" + (rf"|^{EVENTS}$|{push}" if pushes else ""),
    }


def _topic_permission(service: str, vhost: str, keys: Sequence[str], watched: str | None) -> dict[str, str]:
    write = "|".join(re.escape(key).replace(r"\*", ".*") for key in keys) or "(?!)"
    return {
        "user": service,
        "vhost": vhost,
        "exchange": EVENTS,
        "write": f"^({write})$",
        "read": f"^{re.escape(watched)}$" if watched else "^$",
    }
