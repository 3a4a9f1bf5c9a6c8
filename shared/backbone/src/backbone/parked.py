"""Dead letters: what a service could not understand, or kept failing at, waits here for a person.

A parked message goes to the service's parked queue first, and from there into its own table, which it publishes as a
view. Replay and discard are commands that the owning service carries out.
"""

import json
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar
from uuid import UUID

import structlog
import uuid_utils
from pydantic import BaseModel, ConfigDict
from pydantic_core import from_json

from backbone import metrics, topology
from backbone.database import Database, Transaction
from backbone.deliveries import Delivery
from backbone.envelope import MAX_BODY_BYTES, Message, Upcast
from backbone.retries import RUNGS

log = structlog.get_logger()

STORE = (
    "INSERT INTO parked (message_id, routing_key, content_type, headers, body, reason, error, tries, subject, type)"
    " VALUES (:message_id, :routing_key, :content_type, CAST(:headers AS jsonb), :body, :reason, :error, :tries,"
    " :subject, :type) ON CONFLICT (message_id) DO UPDATE SET reason = excluded.reason, error = excluded.error,"
    " tries = parked.tries + excluded.tries, parked_at = now(), state = 'open', decided_by = NULL, decided_at = NULL"
)
TAKE = (
    "UPDATE parked SET state = :state, decided_by = :by, decided_at = now()"
    " WHERE id = ANY(:ids) AND state = 'open' RETURNING message_id, routing_key, content_type, headers, body"
)
OPEN = "SELECT count(*) FROM parked WHERE state = 'open'"


class DeadLetterCommand(BaseModel):
    """A person's word on parked messages of one service, by their row ids; only that service hears it."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    verb: ClassVar[str]
    version: ClassVar[int] = 1
    upcasts: ClassVar[Mapping[int, Upcast]] = {}

    service: str
    ids: tuple[int, ...]
    by: str
    identifier: str = "-"
    run: int = 0

    @property
    def routing_key(self) -> str:
        return f"dead-letters.{self.service}.{self.verb}"


class DeadLettersReplayRequested(DeadLetterCommand):
    """Handle them again; safe to repeat, for only an open one is taken."""

    verb = "replay"


class DeadLettersDiscardRequested(DeadLetterCommand):
    """They need nothing more; they stay on record with who said so."""

    verb = "discard"


async def replay(command: DeadLettersReplayRequested, *, tx: Transaction, service: str) -> Sequence[Any]:
    """Sends the messages back to the work queue with their tries forgotten."""
    for row in (await tx.execute(TAKE, {"ids": list(command.ids), "by": command.by, "state": "replayed"})).all():
        tx.send(
            Message(
                routing_key=next(iter(RUNGS)),
                exchange=topology.names(service).retry,
                body=row.body,
                content_type=row.content_type,
                headers={"routing-key": row.routing_key},
                expiration_ms=1,
                id=_uuid_or_new(row.message_id),
            )
        )
        log.info("dead_letter.replayed", message_id=row.message_id, by=command.by)
    return ()


def _uuid_or_new(message_id: str) -> str:
    """What was parked for its bad id gets a good one; else the inbox tells a message that was handled before."""
    try:
        return str(UUID(message_id))
    except ValueError:
        return str(uuid_utils.uuid7())


async def discard(command: DeadLettersDiscardRequested, *, tx: Transaction) -> Sequence[Any]:
    """Closes the messages for good."""
    for row in (await tx.execute(TAKE, {"ids": list(command.ids), "by": command.by, "state": "discarded"})).all():
        log.info("dead_letter.discarded", message_id=row.message_id, by=command.by)
    return ()


COMMANDS: Mapping[type[DeadLetterCommand], Callable[..., Awaitable[Sequence[Any]]]] = {
    DeadLettersReplayRequested: replay,
    DeadLettersDiscardRequested: discard,
}


def message(service: str, delivery: Delivery, *, reason: str, error: str, tries: int) -> Message:
    """What goes to the parked queue: the message as it came, and why it stopped. Too large a body is cut off."""
    return Message(
        routing_key="",
        exchange=topology.names(service).dlx,
        body=delivery.body if len(delivery.body) <= MAX_BODY_BYTES else delivery.body[:1024],
        content_type=delivery.content_type or "",
        headers={
            "reason": reason,
            "error": error[:1000],
            "tries": tries,
            "routing-key": delivery.key,
        },
        id=delivery.message_id or str(uuid_utils.uuid7()),
    )


class Drain:
    """Moves the parked queue into the parked table."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def receive(self, delivery: Delivery) -> None:
        """Stores one parked message and acks it; a database that is away is waited for, the message stays queued.

        Where its headers or what its body tells cannot be stored it is stored without: left in hand it would be seen by
        nobody, and take a place of the prefetch from others.
        """
        try:
            await self._insist(delivery, _row)
        except Exception:
            log.exception("dead_letter.bared", message_id=delivery.message_id)
            await self._insist(delivery, _bare)
        log.error("dead_letter.stored", message_id=delivery.message_id, reason=str(delivery.headers.get("reason")))
        delivery.ack()

    async def _insist(self, delivery: Delivery, row: Callable[[Delivery], dict[str, Any]]) -> None:
        await self._database.insist(
            lambda: self._database.execute(STORE, row(delivery)), message_id=delivery.message_id
        )

    async def count(self) -> None:
        """Refreshes the gauge of dead letters that wait."""
        metrics.PARKED_OPEN.set((await self._database.execute(OPEN)).scalar_one())


def _row(delivery: Delivery) -> dict[str, Any]:
    headers = dict(delivery.headers)
    event = _peek(delivery.body)
    return {
        "message_id": _plain(delivery.message_id or uuid_utils.uuid7()),
        # With no key of its own it was parked by us; what the broker itself gave up bears its own.
        "routing_key": _plain((delivery.key if delivery.routing_key else headers.get("routing-key")) or ""),
        "content_type": _plain(delivery.content_type or ""),
        "headers": json.dumps(_without_nul(headers), default=str),
        "body": delivery.body,
        # A message that the broker itself gave up (its delivery limit) carries no reason of ours.
        "reason": _plain(headers.get("reason", "delivery_limit")),
        "error": _plain(headers.get("error", "the message was delivered too often without an ack")),
        "tries": delivery.count("tries"),
        "subject": _plain(event.get("subject", ""))[:255],
        "type": _plain(event.get("type", ""))[:255],
    }


def _bare(delivery: Delivery) -> dict[str, Any]:
    about = {"reason": "unreadable", "error": "its headers or what its body tells cannot be stored"}
    return {**_row(replace(delivery, headers=about, body=b"")), "body": delivery.body}


def _plain(value: object) -> str:
    """Text that PostgreSQL can hold: it knows no NUL."""
    return str(value).replace("\x00", "")


def _without_nul(value: Any) -> Any:
    """Before it becomes JSON: in there a NUL looks like six letters that somebody may have written."""
    match value:
        case str():
            return _plain(value)
        case dict():
            return {_plain(name): _without_nul(each) for name, each in value.items()}
        case list():
            return [_without_nul(each) for each in value]
    return value


def _peek(body: bytes) -> Mapping[str, Any]:
    try:
        content = from_json(body)
    except ValueError:
        return {}
    first = content[0] if isinstance(content, list) and content else content
    return first if isinstance(first, dict) else {}
