"""Around every request: its trace, its time in the metrics, the security headers, and no error that escapes."""

import re
import time
from collections.abc import Mapping
from functools import cache

import structlog
from backbone import tracing
from backbone.context import Context, current, new_traceparent
from prometheus_client import Counter, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from project_api.web import errors

REQUESTS = Counter("uca_http_requests_total", "Requests by route and status", ("method", "route", "status"))
SECONDS = Histogram(
    "uca_http_request_seconds",
    "From the request to the end of its answer; long polls count with their wait",
    ("method", "route"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 60),
)

_requests, _seconds = cache(REQUESTS.labels), cache(SECONDS.labels)
"""The library makes the child's key anew at each call, which takes longer than to count."""

_TRACEPARENT = re.compile(rb"^00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}$")

HEADERS: Mapping[bytes, bytes] = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cache-control": b"no-store",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'",
}
"""On every answer whose route doesn't say otherwise."""


class Frame:
    """ASGI, outermost. The trace id goes into every log line and event that the request causes, and into its answer."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        with tracing.span(scope["method"], "SERVER", _callers_trace(scope), url__path=scope["path"]) as traceparent:
            await self._answer(scope, receive, send, traceparent or new_traceparent())

    async def _answer(self, scope: Scope, receive: Receive, send: Send, traceparent: str) -> None:
        trace = traceparent[3:35]
        status: int | None = None
        started = time.monotonic()

        async def sending(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                _complete(message["headers"], trace)
            await send(message)

        token = current.set(Context(None, traceparent))
        logged = structlog.contextvars.bind_contextvars(trace=trace)
        try:
            await self._app(scope, receive, sending)
        except Exception as error:  # noqa: BLE001 - the last one who can answer it
            if status is None:
                await errors.unexpected(scope["path"], error)(scope, receive, sending)
            else:  # the framework has answered and told of it, and raises it once more
                structlog.get_logger().debug("request.ended_by_error", error=type(error).__name__)
        finally:
            structlog.contextvars.reset_contextvars(**logged)
            current.reset(token)
            route = _template(scope)
            _requests(scope["method"], route, status or 500).inc()
            _seconds(scope["method"], route).observe(time.monotonic() - started)


def _template(scope: Scope) -> str:
    """The route's whole path, its parameters by name; a router's own routes know only their part of it."""
    route = scope.get("fastapi", {}).get("effective_route_context") or scope.get("route")
    return getattr(route, "path", "-")


def _callers_trace(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == b"traceparent" and _TRACEPARENT.match(value):
            return str(value.decode())
    return None


def _complete(headers: list[tuple[bytes, bytes]], trace: str) -> None:
    present = dict(headers)
    headers += [pair for pair in HEADERS.items() if pair[0] not in present]
    headers.append((b"x-request-id", trace.encode()))
