"""`python -m local.asyncapi`: docs/asyncapi.yaml, made from the events; `--check` says whether it is current.

One channel for each event, sent by who may publish it and received by who is bound to it, as the broker is set up.
"""

import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from backbone import envelope, topology
from backbone.parked import DeadLettersDiscardRequested, DeadLettersReplayRequested
from contracts import events
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS, WATCHERS
from pydantic import BaseModel
from user_syncer.tickets import ChunkPlanned

TARGET = Path("docs/asyncapi.yaml")

INFO = {
    "title": "UCA events",
    "version": "1.0.0",
    "description": (
        "What the services tell each other, through one topic exchange. A message is one CloudEvent 1.0 in JSON, or a"
        f" batch of at most {envelope.MAX_BATCH_EVENTS} of one routing key. Its id is fixed when the fact is committed:"
        " a repeat is known by it. Consumers ignore fields that they do not know; a changed meaning is a new version."
        " No event carries a secret."
    ),
}
SERVERS = {
    "broker": {
        "host": "127.0.0.1:5672",
        "pathname": "/uca",
        "protocol": "amqp",
        "description": "RabbitMQ; each service has its own user and rights. Local mode chooses its port.",
    }
}
ATTRIBUTES = {
    "specversion": {"const": "1.0"},
    "id": {"type": "string", "format": "uuid"},
    "source": {"enum": list(SUBSCRIPTIONS)},
    "subject": {"type": "string", "description": "The project's identifier."},
    "time": {"type": "string", "format": "date-time", "description": "The database's time of the commit."},
    "datacontenttype": {"const": "application/json"},
    "correlationid": {"type": "string", "description": "identifier/run"},
    "causationid": {"type": "string", "description": "The id of the event that this one follows from."},
    "run": {"type": "integer"},
    "traceparent": {"type": "string", "description": "W3C Trace Context."},
}
OPTIONAL = ("causationid", "traceparent")


class Sent:
    """One event type with the key that it goes by, and who says and who hears it."""

    def __init__(self, kind: type[BaseModel], key: str, senders: Sequence[str], receivers: Sequence[str]) -> None:
        self.kind = kind
        self.key = key
        self.senders = senders
        self.receivers = receivers

    @property
    def name(self) -> str:
        return self.kind.__name__


def sent() -> Iterator[Sent]:
    """Every event, those of the timeline first."""
    facts: tuple[type[events.Event], ...] = (*events.RECORDED, events.StatusChanged, ChunkPlanned)
    for kind in facts:
        key = kind.routing_key
        watching = [service for service, watched in WATCHERS.items() if watched == key]
        yield Sent(kind, key, _with(PUBLICATIONS, key), [*_with(SUBSCRIPTIONS, key), *watching])
    for command in (DeadLettersReplayRequested, DeadLettersDiscardRequested):
        yield Sent(
            command,
            f"dead-letters.{{service}}.{command.verb}",
            _with(PUBLICATIONS, "dead-letters.*"),
            list(SUBSCRIPTIONS),
        )


def document() -> dict[str, Any]:
    """The AsyncAPI 3.0 document."""
    every = list(sent())
    schemas: dict[str, Any] = {}
    messages = {each.name: _message(each, schemas) for each in every}
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": envelope.STRUCTURED,
        "servers": SERVERS,
        "channels": {each.name: _channel(each) for each in every},
        "operations": dict(_operations(every)),
        "components": {"messages": messages, "schemas": dict(sorted(schemas.items()))},
    }


def _with(table: Mapping[str, Sequence[str]], key: str) -> list[str]:
    return [service for service, keys in table.items() if key in keys]


def _channel(each: Sent) -> dict[str, Any]:
    exchange = {"name": envelope.EVENTS, "type": "topic", "durable": True}
    channel: dict[str, Any] = {
        "address": each.key,
        "description": _words(each.kind),
        "messages": {each.name: {"$ref": f"#/components/messages/{each.name}"}},
        "bindings": {"amqp": {"is": "routingKey", "exchange": exchange}},
    }
    if "{service}" in each.key:
        channel["parameters"] = {
            "service": {"enum": list(SUBSCRIPTIONS), "description": "Whose dead letters they are."}
        }
    return channel


def _operations(every: Sequence[Sent]) -> Iterator[tuple[str, Any]]:
    for each in every:
        channel = {"$ref": f"#/channels/{each.name}"}
        for verb, action, services in (("sends", "send", each.senders), ("receives", "receive", each.receivers)):
            for service in services:
                operation: dict[str, Any] = {"action": action, "channel": channel, "tags": [{"name": service}]}
                if action == "receive":
                    operation["description"] = f"From the queue {topology.names(service).work}."
                    if each.key == WATCHERS.get(service):
                        operation["description"] = "From a short-lived queue of each replica."
                yield f"{service}.{verb}.{each.name}", operation


def _message(each: Sent, schemas: dict[str, Any]) -> dict[str, Any]:
    schema = each.kind.model_json_schema(mode="serialization", ref_template="#/components/schemas/{model}")
    schemas.update(schema.pop("$defs", {}))
    schemas[each.name] = schema
    version = getattr(each.kind, "version", 1)
    attributes = {
        **ATTRIBUTES,
        "type": {"const": each.name},
        "dataschema": {"const": f"urn:uca:{each.name}:{version}"},
        "data": {"$ref": f"#/components/schemas/{each.name}"},
    }
    payload = {
        "type": "object",
        "required": [name for name in attributes if name not in OPTIONAL],
        "properties": attributes,
    }
    return {"name": each.name, "title": each.name, "summary": _words(each.kind), "payload": payload}


def _words(kind: type[BaseModel]) -> str:
    return " ".join((kind.__doc__ or "").split("\n\n")[0].split()).replace("``", "`")


def written() -> str:
    """The file's text."""
    head = "# Made by `make asyncapi` from the events in shared/contracts; not to be edited.\n"
    return head + str(yaml.safe_dump(document(), sort_keys=False, allow_unicode=True, width=120))


def main() -> int:
    """Writes the file; with --check it exits 1 where the file is not what would be written."""
    if "--check" not in sys.argv[1:]:
        TARGET.write_text(written())
        return 0
    if TARGET.exists() and TARGET.read_text() == written():
        return 0
    print(f"{TARGET} is not current; run: make asyncapi", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
