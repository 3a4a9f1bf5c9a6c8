"""`make picture`: draws one event's way into docs/architecture.md, from the tables that the broker is set up by.

With --check it only says whether the picture there is out of date.
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from contracts import events
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS, WATCHERS

PAGE = Path(__file__).with_name("architecture.md")
BEGIN, END = "<!-- made by: make picture -->\n", "<!-- end -->\n"

WAY = events.ProjectCreated, events.LinkEnsured, events.UserSynced, events.StatusChanged
"""What happens, in order, when a project is created."""

ASIDE = {
    events.ProjectCreated: ("project-api", "project, participants and event in one transaction, then 201"),
    events.LinkEnsured: ("link-provisioner", "find or create the project on the cloud"),
    events.UserSynced: ("user-syncer", "read once, write the difference, chunk by chunk"),
    events.StatusChanged: ("status-projector", "fold into status and progress"),
}


def picture() -> Iterator[str]:
    """A Mermaid sequence diagram: who says each event, and who hears it."""
    yield "```mermaid\nsequenceDiagram\n    participant browser\n"
    yield from (f"    participant {service}\n" for service in SUBSCRIPTIONS)
    yield "    participant cloud\n    browser->>project-api: POST /admin/v1/projects\n"
    for event in WAY:
        service, words = ASIDE[event]
        yield f"    Note over {service}: {words}\n"
        if service in ("link-provisioner", "user-syncer"):
            yield f"    {service}->>cloud: calls, outside of any transaction\n"
        for listener in _listeners(event.routing_key):
            yield f"    {_publisher(event.routing_key)}--){listener}: {event.__name__} ({event.routing_key})\n"
        if event is events.ProjectCreated:
            yield "    project-api->>browser: 201, status provisioning\n"
    yield "    project-api->>browser: push, long poll and polling: active\n```\n"


def _publisher(key: str) -> str:
    (service,) = (service for service, keys in PUBLICATIONS.items() if key in keys)
    return service


def _listeners(key: str) -> list[str]:
    return [s for s, keys in SUBSCRIPTIONS.items() if key in keys] + [s for s, k in WATCHERS.items() if k == key]


def main(arguments: list[str]) -> int:
    """Exits 1 where the picture differs and was only to be checked."""
    text = PAGE.read_text()
    head, tail = text[: text.index(BEGIN) + len(BEGIN)], text[text.index(END) :]
    drawn = head + "".join(picture()) + tail
    if drawn == text:
        return 0
    if "--check" in arguments:
        print("The picture in docs/architecture.md is out of date; run: make picture")  # noqa: T201 - a command's answer
        return 1
    PAGE.write_text(drawn)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
