"""``/metrics``, ``/healthz`` and ``/readyz`` on their own port, from a thread: they answer however busy the loop is."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from prometheus_client import make_wsgi_app
from prometheus_client.exposition import ThreadingWSGIServer


class Health:
    """What a service says of itself. Ready means that each named check holds; alive, that the event loop turns."""

    STALLED_SECONDS = 60.0

    def __init__(self) -> None:
        self._checks: dict[str, Callable[[], bool]] = {}
        self._beat = time.monotonic()

    def require(self, name: str, check: Callable[[], bool]) -> None:
        """Adds a condition of readiness; the check must be cheap and safe to call from a thread."""
        self._checks[name] = check

    def beat(self) -> None:
        """The event loop turns."""
        self._beat = time.monotonic()

    def missing(self) -> list[str]:
        """Names of what the service still waits for."""
        return [name for name, holds in self._checks.items() if not holds()]

    def alive(self) -> bool:
        """False once the event loop hasn't turned for a minute."""
        return time.monotonic() - self._beat < self.STALLED_SECONDS


class _Quiet(WSGIRequestHandler):
    timeout = 5.0
    """Seconds that a client may be silent."""

    def handle(self) -> None:
        with suppress(TimeoutError):
            super().handle()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the parent's name
        """Probes every few seconds are no news."""


def serve(host: str, port: int, health: Health) -> WSGIServer:
    """Starts the listener, in daemon threads: one a client, so a silent one holds nobody up.

    Raises :class:`OSError` where the port is taken.
    """
    metrics_app = make_wsgi_app()

    def app(environ, start_response):  # type: ignore[no-untyped-def] # WSGI's own untyped shape
        path = environ["PATH_INFO"]
        if path == "/metrics":
            return metrics_app(environ, start_response)
        problems = {"/healthz": [] if health.alive() else ["event loop"], "/readyz": health.missing()}.get(path)
        if problems is None:
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"only /metrics, /healthz and /readyz are here\n"]
        status = "503 Service Unavailable" if problems else "200 OK"
        start_response(status, [("Content-Type", "text/plain")])
        return [("waiting for " + ", ".join(problems) if problems else "ok").encode() + b"\n"]

    server = make_server(host, port, app, ThreadingWSGIServer, _Quiet)
    threading.Thread(target=server.serve_forever, name="health", daemon=True).start()
    return server
