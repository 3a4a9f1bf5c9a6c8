"""Frames as they go over the wire."""

import pytest
from project_api.push.transport import encode
from wsproto.connection import Connection, ConnectionType
from wsproto.events import TextMessage


@pytest.mark.parametrize("length", [0, 1, 125, 126, 65_535, 65_536, 100_000])
def test_a_client_reads_what_was_encoded(length: int) -> None:
    """A client's own implementation reads each length of text back, whole, and ready for the next."""
    client = Connection(ConnectionType.CLIENT)
    for text in ("x" * length, "Syncing users…"):
        client.receive_data(encode(text))
        read = [event for event in client.events() if isinstance(event, TextMessage)]
        assert "".join(event.data for event in read) == text
        assert read[-1].message_finished
