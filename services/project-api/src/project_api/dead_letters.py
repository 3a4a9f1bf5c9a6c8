"""Dead letters of every service: read from their published tables, and decided on by commands that they carry out."""

import base64
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal

from backbone.database import Connection, Transaction
from backbone.parked import DeadLetterCommand, DeadLettersDiscardRequested, DeadLettersReplayRequested
from contracts.subscriptions import SUBSCRIPTIONS
from pydantic import BaseModel
from pydantic_core import from_json

from project_api import audit
from project_api.auth.tokens import Principal
from project_api.directory.tenants import escaped
from project_api.web.paging import PageQuery

SERVICES = tuple(SUBSCRIPTIONS)

Verb = Literal["replay", "discard"]
COMMANDS: Mapping[Verb, type[DeadLetterCommand]] = {
    "replay": DeadLettersReplayRequested,
    "discard": DeadLettersDiscardRequested,
}

AT_ONCE = 1000
"""Ids in one command; more are more commands."""
MOST = 10_000
"""Letters that one request decides on; the rest needs another."""

SHOWN = (
    "id, message_id, type, subject AS project, reason, error, tries, state, parked_at, decided_by, decided_at,"
    " routing_key, content_type, octet_length(body) AS bytes"
)
EVERYWHERE = " UNION ALL ".join(
    f"SELECT '{service}' AS service, parked.* FROM {service.replace('-', '_')}.parked"  # noqa: S608 - our own words
    for service in SERVICES
)
MATCHING = (
    f"FROM ({EVERYWHERE}) AS letters WHERE (CAST(:service AS text) IS NULL OR service = :service)"
    " AND (CAST(:project AS text) IS NULL OR subject = :project)"
    " AND (CAST(:error AS text) IS NULL OR reason ILIKE :error OR error ILIKE :error)"
    " AND (CAST(:since AS timestamptz) IS NULL OR parked_at >= :since)"
    " AND (CAST(:until AS timestamptz) IS NULL OR parked_at < :until)"
    " AND (CAST(:state AS text) IS NULL OR state = :state)"
)
LIST = f"SELECT service, {SHOWN} {MATCHING} ORDER BY parked_at DESC, service, id LIMIT :limit OFFSET :offset"
COUNT = f"SELECT count(*) {MATCHING}"
CHOOSE = (
    f"SELECT service, id {MATCHING} AND (NOT :by_ids OR (service, id) IN"  # noqa: S608 - our own words
    " (SELECT * FROM unnest(CAST(:services AS text[]), CAST(:ids AS bigint[]))))"
    f" ORDER BY parked_at, service, id LIMIT {MOST}"
)
FIND = (
    f"SELECT service, {SHOWN}, headers, body FROM ({EVERYWHERE}) AS letters"  # noqa: S608 - our own words
    " WHERE service = :service AND id = :id"
)


class Filter(BaseModel):
    """Which letters: everything that is given must hold. ``error`` is part of the reason or of the error's words."""

    service: str | None = None
    project: str | None = None
    error: str | None = None
    since: datetime | None = None
    until: datetime | None = None

    def parameters(self, state: str | None) -> dict[str, Any]:
        """For the statements' conditions."""
        words = None if self.error is None else f"%{escaped(self.error)}%"
        return {**self.model_dump(), "error": words, "state": state}


async def search(
    connection: Connection, wanted: Filter, state: str | None, page: PageQuery
) -> tuple[list[Mapping[str, Any]], int]:
    """One page of letters, the newest first; and how many there are in all."""
    parameters = wanted.parameters(state)
    rows = await connection.execute(LIST, {**parameters, **page.window})
    letters: list[Mapping[str, Any]] = [dict(row) for row in rows.mappings()]
    return letters, (await connection.execute(COUNT, parameters)).scalar_one()


async def find(connection: Connection, service: str, letter_id: int) -> dict[str, Any] | None:
    """One letter with its headers, its body (decoded where it is JSON, else in base64) and the trace that it is of."""
    row = (await connection.execute(FIND, {"service": service, "id": letter_id})).mappings().one_or_none()
    if row is None:
        return None
    body, encoding = decoded(row["body"])
    return {**row, "body": body, "body_encoding": encoding, "traceparent": trace_of(body)}


def decoded(body: bytes) -> tuple[Any, str]:
    """The body for a person to read, and how: json or base64."""
    try:
        return from_json(body), "json"
    except ValueError:
        return base64.b64encode(body).decode(), "base64"


def trace_of(body: Any) -> str | None:
    """The W3C traceparent of an event, or of the first one of a batch."""
    first = body[0] if isinstance(body, list) and body else body
    trace = first.get("traceparent") if isinstance(first, dict) else None
    return trace if isinstance(trace, str) else None


async def chosen(
    connection: Connection, wanted: Filter, ids: Mapping[Any, Sequence[int]] | None = None
) -> list[tuple[str, int]]:
    """The open letters that match, oldest first, :data:`MOST` at the most; with ``ids`` by service, of those alone."""
    pairs = [(service, each) for service, some in (ids or {}).items() for each in some]
    parameters = {
        **wanted.parameters("open"),
        "by_ids": ids is not None,
        "services": [service for service, _ in pairs],
        "ids": [each for _, each in pairs],
    }
    return [(row.service, row.id) for row in await connection.execute(CHOOSE, parameters)]


async def decide(tx: Transaction, verb: Verb, letters: Sequence[tuple[str, int]], by: Principal) -> dict[str, int]:
    """Asks each service to replay or discard its letters, and keeps on record who did; how many, by service."""
    ids: dict[str, list[int]] = {}
    for service, letter_id in letters:
        ids.setdefault(service, []).append(letter_id)
    for service, some in ids.items():
        await audit.record(tx, by, f"dead_letters.{verb}", service, ids=some)
        tx.emit(
            *(
                COMMANDS[verb](service=service, ids=tuple(some[start : start + AT_ONCE]), by=by.label)
                for start in range(0, len(some), AT_ONCE)
            )
        )
    return {service: len(some) for service, some in ids.items()}
