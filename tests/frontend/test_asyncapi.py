"""The document of the events is what the code says, and its own project's parser agrees with it."""

import json
import shutil
import subprocess
from pathlib import Path

from contracts.events import RECORDED
from local import asyncapi

HERE = Path(__file__).parent


def test_the_document_is_current() -> None:
    """What is committed is what would be written now."""
    assert asyncapi.TARGET.read_text() == asyncapi.written(), "run: make asyncapi"


def test_every_event_has_senders_and_receivers() -> None:
    """No event is described that nobody says or nobody hears."""
    for each in asyncapi.sent():
        assert each.senders, each.name
        assert each.receivers, each.name


def test_the_parser_takes_it(node: str, packages: Path) -> None:
    """@asyncapi/parser finds neither an error nor a warning, and every event."""
    shutil.copy(HERE / "asyncapi.mjs", packages)
    command = [node, "asyncapi.mjs", str(asyncapi.TARGET.absolute())]
    done = subprocess.run(command, cwd=packages, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    assert found["wrong"] == []
    assert found["messages"] > len(RECORDED)
