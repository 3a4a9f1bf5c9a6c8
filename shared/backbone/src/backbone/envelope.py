"""Events to bytes and back: CloudEvents 1.0 in JSON, one event or a batch a message."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Protocol, Self
from uuid import UUID

import uuid_utils
from pydantic import ValidationError
from pydantic_core import from_json, to_json

from backbone.context import Context

EVENTS = "events"
"""The one topic exchange that every event goes through."""

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
MAX_BODY_BYTES = 4 * 1024 * 1024
MAX_BATCH_EVENTS = 500
MAX_BATCH_BYTES = 1024 * 1024
"""A batch ends before it would be longer; one event alone may be."""

_SCHEMA = re.compile(r"^urn:uca:(?P<type>[A-Za-z]+):(?P<version>\d{1,9})$")


Upcast = Callable[[Mapping[str, Any]], Mapping[str, Any]]
"""Makes an event's data as one version had it into what the next version has."""


class Fact(Protocol):
    """What the backbone asks of an event: where it goes, its version, and whose run it belongs to.

    ``upcasts`` has, by version, the way to the next one, for each older version that may still be on its way.
    """

    version: ClassVar[int]
    upcasts: ClassVar[Mapping[int, Upcast]]

    @property
    def routing_key(self) -> str: ...

    @property
    def identifier(self) -> str: ...

    @property
    def run(self) -> int: ...

    @classmethod
    def model_validate(cls, obj: Any) -> Self: ...


class Undecodable(Exception):
    """The message cannot be understood, now or on any later try; ``code`` says in which way."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Message:
    """One message on the wire; id and bytes are fixed once, so that a repeat is recognised as one."""

    routing_key: str
    body: bytes
    content_type: str = STRUCTURED
    exchange: str = EVENTS
    headers: Mapping[str, Any] = field(default_factory=dict)
    expiration_ms: int | None = None
    id: str = field(default_factory=lambda: str(uuid_utils.uuid7()))


@dataclass(frozen=True, slots=True)
class Envelope:
    """One event with its CloudEvents attributes; ``time`` is the database's, never a worker's."""

    id: str
    source: str
    time: datetime
    data: Any
    correlation: str
    cause: str | None = None
    traceparent: str | None = None

    @property
    def type(self) -> str:
        return type(self.data).__name__


def seal(event: Fact, *, source: str, time: datetime, context: Context) -> Envelope:
    """Puts a new event in its envelope; the run is the correlation."""
    return Envelope(
        id=str(uuid_utils.uuid7()),
        source=source,
        time=time,
        data=event,
        correlation=f"{event.identifier}/{event.run}",
        cause=context.cause,
        traceparent=context.traceparent,
    )


def _attributes(envelope: Envelope) -> dict[str, Any]:
    data = envelope.data
    attributes = {
        "specversion": "1.0",
        "id": envelope.id,
        "source": envelope.source,
        "type": envelope.type,
        "subject": data.identifier,
        "time": envelope.time,
        "datacontenttype": "application/json",
        "dataschema": f"urn:uca:{envelope.type}:{data.version}",
        "correlationid": envelope.correlation,
        "run": data.run,
        "data": data,
    }
    if envelope.cause:
        attributes["causationid"] = envelope.cause
    if envelope.traceparent:
        attributes["traceparent"] = envelope.traceparent
    return attributes


def pack(envelopes: Sequence[Envelope]) -> list[Message]:
    """One message for each routing key, in order of first use; a long run of events is cut into batches."""
    by_key: dict[str, list[bytes]] = {}
    for envelope in envelopes:
        by_key.setdefault(envelope.data.routing_key, []).append(to_json(_attributes(envelope)))
    return [_message(key, batch) for key, bodies in by_key.items() for batch in _batches(bodies)]


def _batches(bodies: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    start, size = 0, 0
    for index, body in enumerate(bodies):
        if index > start and (index - start == MAX_BATCH_EVENTS or size + len(body) > MAX_BATCH_BYTES):
            yield bodies[start:index]
            start, size = index, 0
        size += len(body)
    yield bodies[start:]


def _message(routing_key: str, bodies: Sequence[bytes]) -> Message:
    if len(bodies) == 1:
        return Message(routing_key, bodies[0])
    return Message(routing_key, b"[" + b",".join(bodies) + b"]", BATCH)


def unpack(body: bytes, content_type: str | None, types: Mapping[str, type[Fact]]) -> list[Envelope]:
    """The events in a message.

    Raises :class:`Undecodable`: too large, not JSON, not a CloudEvent, a type or version that ``types`` doesn't have,
    or data of another shape. A whole batch is refused for one bad event, for half a commit is no fact.
    """
    if len(body) > MAX_BODY_BYTES:
        raise Undecodable("too_large", f"message of {len(body)} bytes; at most {MAX_BODY_BYTES}")
    try:
        content = from_json(body)
    except ValueError as error:
        raise Undecodable("not_json", f"not JSON: {error}") from error
    items = content if content_type == BATCH else [content]
    if not isinstance(items, list) or not items:
        raise Undecodable("not_cloudevents", "a batch must be a list of events")
    return [_envelope(item, types) for item in items]


def _envelope(item: Any, types: Mapping[str, type[Fact]]) -> Envelope:
    if not isinstance(item, dict):
        raise Undecodable("not_cloudevents", "an event must be an object")
    name, version, event_type = _event_type(item, types)
    content = upcast(event_type, version, item.get("data"))
    try:
        data = event_type.model_validate(content)
        envelope = Envelope(
            id=str(UUID(item["id"])),
            source=str(item["source"]),
            time=datetime.fromisoformat(item["time"]),
            data=data,
            correlation=str(item["correlationid"]),
            cause=_text_or_none(item.get("causationid")),
            traceparent=_text_or_none(item.get("traceparent")),
        )
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, each["loc"])) for each in error.errors()[:5])
        raise Undecodable("wrong_schema", f"{name} has wrong or missing fields: {fields}") from error
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise Undecodable(
            "not_cloudevents", f"{name} lacks a CloudEvents attribute or has a bad one: {error}"
        ) from error
    if envelope.time.tzinfo is None:
        raise Undecodable("not_cloudevents", f"{name} has a time without a zone")
    return envelope


def _text_or_none(value: object) -> str | None:
    """What an event can do without is left out where it is no text."""
    return value if isinstance(value, str) else None


def _event_type(item: Mapping[str, Any], types: Mapping[str, type[Fact]]) -> tuple[str, int, type[Fact]]:
    schema = _SCHEMA.match(str(item.get("dataschema")))
    name = item.get("type")
    if schema is None or schema["type"] != name or item.get("specversion") != "1.0":
        raise Undecodable("not_cloudevents", "type and dataschema must name the same event, specversion must be 1.0")
    event_type = types.get(schema["type"])
    if event_type is None:
        raise Undecodable("unknown_type", f"no handler knows {schema['type']}")
    return schema["type"], int(schema["version"]), event_type


def upcast(event_type: type[Fact], version: int, data: Any) -> Any:
    """Data that was said in ``version``, as the present version says it, step by step.

    Raises :class:`Undecodable`: the version is newer than ours, or so old that no way leads from it, or the data are
    not what that version said.
    """
    name, known = event_type.__name__, event_type.version
    steps = [event_type.upcasts.get(older) for older in range(version, known)]
    if version > known or None in steps:
        raise Undecodable("unknown_version", f"{name} version {version}; this service knows {known}")
    for step in filter(None, steps):
        try:
            data = step(data)
        except Exception as error:  # whatever it stumbles over: a delivery must get its verdict
            raise Undecodable("wrong_schema", f"{name} version {version} has other fields: {error!r}") from error
    return data
