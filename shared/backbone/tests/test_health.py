"""What probes and the scraper are told."""

import socket
from collections.abc import Iterator
from urllib.request import urlopen
from wsgiref.simple_server import WSGIServer

import pytest
from backbone import health


@pytest.fixture
def server() -> Iterator[WSGIServer]:
    """A listener of a service that is well; it must end when it is told to."""
    server = health.serve("127.0.0.1", 0, health.Health())
    yield server
    server.shutdown()
    server.server_close()


def test_a_silent_client_holds_nobody_up(server: WSGIServer) -> None:
    """Others are answered beside it, and the listener ends with the service."""
    with (
        socket.create_connection(("127.0.0.1", server.server_port)),
        urlopen(f"http://127.0.0.1:{server.server_port}/healthz", timeout=10) as answer,
    ):
        assert answer.read() == b"ok\n"
        server.shutdown()


def test_a_silent_client_is_hung_up_on(server: WSGIServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps no thread for good."""
    monkeypatch.setattr(health._Quiet, "timeout", 0.1)
    with socket.create_connection(("127.0.0.1", server.server_port), timeout=10) as silent:
        assert silent.recv(1) == b""
