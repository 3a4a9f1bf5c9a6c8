"""What one caller may take: requests a second, requests at once, bytes and kinds of body. Bounded in memory itself."""

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from prometheus_client import Counter, Gauge
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from project_api.web.errors import Problem, unavailable

SHED = Counter("uca_http_shed_total", "Requests refused to keep the service up", ("reason",))
IN_FLIGHT = Gauge("uca_http_in_flight", "Requests at work, those that only wait for news left out")

REMEMBERED = 10_000
BURST_SECONDS = 2.0
BODY_SECONDS = 20.0
"""How long a body may take to arrive."""

LONGEST_PATH = 512
"""More than any route's address needs, and fewer than the digits that Python may refuse to read as a number."""

PROBES = ("/healthz", "/readyz")
"""Never refused: a flood must not make a service look dead that is only busy."""

OTHER_BODIES = {
    "/admin/v1/users/import": (b"application/json", b"text/csv"),
    "/broadcasting/auth": (b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/json"),
    "/api/v1/broadcasting/auth": (b"application/x-www-form-urlencoded", b"multipart/form-data", b"application/json"),
}
"""Paths that take something else than JSON."""


class RateLimit:
    """A token bucket for each key; the longest unused are forgotten, full as they are by then."""

    def __init__(self, name: str, rate: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._name = name
        self._rate = rate
        self._burst = max(1.0, rate * BURST_SECONDS)
        self._clock = clock
        self._buckets: OrderedDict[object, tuple[float, float]] = OrderedDict()

    def take(self, key: object) -> None:
        """Takes one request's worth. Raises a 429 :class:`Problem` that says when to come again."""
        now = self._clock()
        level, since = self._buckets.pop(key, (self._burst, now))
        level = min(self._burst, level + (now - since) * self._rate)
        allowed = level >= 1
        self._buckets[key] = (level - 1 if allowed else level, now)
        if len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        if not allowed:
            SHED.labels(self._name).inc()
            wait = math.ceil((1 - level) / self._rate)
            raise Problem(429, "Too many requests. Slow down.", headers={"Retry-After": str(wait)})


class InFlight:
    """Counts requests at work, and refuses one too many."""

    def __init__(self, most: int) -> None:
        self._most = most
        self.count = 0
        """Of requests at work."""
        IN_FLIGHT.set_function(lambda: self.count)

    def enter(self) -> None:
        """Raises a 503 :class:`Problem` where there are too many."""
        if self.count >= self._most:
            SHED.labels("in_flight").inc()
            raise unavailable("The service is busy. Try again shortly.", retry_after=1)
        self.count += 1

    def leave(self) -> None:
        """One request is done."""
        self.count -= 1

    @asynccontextmanager
    async def waiting(self) -> AsyncIterator[None]:
        """For a request that only waits for news (long poll): it gives its place back meanwhile."""
        self.count -= 1
        try:
            yield
        finally:
            self.count += 1


class Limits:
    """ASGI: everything that is refused before anyone asks who is calling."""

    def __init__(self, app: ASGIApp, *, addresses: RateLimit, in_flight: InFlight, max_body: int) -> None:
        self._app = app
        self._addresses = addresses
        self._in_flight = in_flight
        self._max_body = max_body

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"] in PROBES:
            await self._app(scope, receive, send)
            return
        try:
            client = scope.get("client")
            self._addresses.take(client[0] if client else None)
            check_address(scope)
            has_body = check_body(scope, self._max_body)
            self._in_flight.enter()
        except Problem as problem:
            await problem.response()(scope, receive, send)
            return
        try:
            await self._app(scope, _bounded(receive, self._max_body) if has_body else receive, send)
        finally:
            self._in_flight.leave()


def check_address(scope: Scope) -> None:
    """Raises a 400 :class:`Problem` for a NUL, which no text in the database can hold, and for a path without end.

    Routes are matched by reading their numbers, before any bound is checked: one too long for Python would be a 500.
    """
    if len(scope["path"]) > LONGEST_PATH:
        raise Problem(400, f"The address is too long; at most {LONGEST_PATH} characters before its query.")
    if "\x00" in scope["path"] or b"%00" in scope["query_string"]:
        raise Problem(400, "The address must not contain NUL characters.")


def check_body(scope: Scope, most: int) -> bool:
    """Whether a body comes. Raises a 413 or 415 :class:`Problem` for what its headers give away."""
    if scope["method"] in ("GET", "HEAD"):
        return False
    headers = dict(scope["headers"])
    length, chunked = headers.get(b"content-length", b"0"), b"transfer-encoding" in headers
    if not chunked and length == b"0":
        return False
    if not chunked and (not length.isdigit() or int(length) > most):
        raise _too_large(most)
    kind = headers.get(b"content-type", b"").partition(b";")[0].strip().lower()
    allowed = OTHER_BODIES.get(scope["path"], (b"application/json",))
    if kind not in allowed:
        raise Problem(415, f"The body must be {' or '.join(each.decode() for each in allowed)}.")
    return True


def _too_large(most: int) -> Problem:
    SHED.labels("body").inc()
    return Problem(413, f"The body is too large; at most {most} bytes.")


def _bounded(receive: Receive, most: int) -> Receive:
    """The body, as far as it is neither too large nor too slow; who sends a byte now and then keeps no place."""
    seen, whole = 0, False
    until = asyncio.get_running_loop().time() + BODY_SECONDS

    async def receiving() -> Message:
        nonlocal seen, whole
        if whole:
            return await receive()
        try:
            async with asyncio.timeout_at(until):
                message = await receive()
        except TimeoutError:
            SHED.labels("slow_body").inc()
            raise Problem(408, "The body took too long to arrive.") from None
        seen += len(message.get("body", b""))
        if seen > most:
            raise _too_large(most)
        whole = not message.get("more_body", False)
        return message

    return receiving
