"""One region's HTTP: bounded in time, size and number, repeated only where that is safe, and stopped by the breaker.

What a call means is decided here; how it is sent, in ``connections``.
"""

import asyncio
import json
import random
import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager, nullcontext
from contextvars import ContextVar
from time import monotonic
from typing import Any, NamedTuple
from urllib.parse import urlsplit

import structlog

from clouds.answers import Answer, retry_after, sent_at
from clouds.breaker import Breaker, State, Wait
from clouds.connections import Connections, NotConnected
from clouds.counting import count_call
from clouds.errors import AuthExpired, Invalid, ProviderUnavailable, RateLimited, TimeoutUnknown, Transient
from clouds.guard import ask_guard
from clouds.metrics import CallMetrics
from clouds.regions import Region
from clouds.settings import CloudSettings

log = structlog.get_logger()

_WAITING = {
    "breaker": "The cloud keeps failing; waiting before it is tried again.",
    "login": "The cloud refuses our account's login; waiting until it lets us in.",
    "maintenance": "The region is in maintenance.",
    "rate": "The cloud asked us to slow down.",
}

_in_turn: ContextVar[bool] = ContextVar("cloud_turn", default=False)


@contextmanager
def past_the_line() -> Iterator[None]:
    """Calls within wait for nobody's turn: it is the caller's own, or whoever has it may be waiting for them."""
    before = _in_turn.set(True)
    try:
        yield
    finally:
        _in_turn.reset(before)


_TARGET = re.compile("[!-~]+")
"""A path as it may stand in a request's first line."""


class Health(NamedTuple):
    """One region as this process sees it; ``limited`` is for how many seconds the cloud asked us to wait still."""

    region: str
    breaker: State
    limited: float
    calls: int
    failures: int


class RegionHttp:
    """Requests to one region's URL and to no other; opened on the first call, shared by the process."""

    def __init__(self, region: Region, settings: CloudSettings) -> None:
        self.region = region
        self.settings = settings
        self.breaker = Breaker(settings)
        self._metrics = CallMetrics(region.provider, region.code)
        self._url = region.url.rstrip("/")
        parts = urlsplit(self._url)
        self._base = parts.path
        self._standing = f"host: {parts.netloc}\r\naccept-encoding: identity\r\n"
        self._slots = asyncio.Semaphore(settings.in_flight_here)
        self._one_by_one = asyncio.Lock()
        self._connections = Connections(
            self._url, _tls_context(region), allow_private=region.allow_private, max_body=settings.max_body
        )
        self._calls = self._failures = 0

    def turn(self) -> AbstractAsyncContextManager[None]:
        """For calls that belong together, of which all are made again where one is refused: after a 429 they go without
        others between. In turns with others' calls all would come half-way, run into the limit, and begin anew.
        """
        return self._alone() if self.breaker.is_careful(monotonic()) else nullcontext()

    @asynccontextmanager
    async def _alone(self) -> AsyncIterator[None]:
        async with self._one_by_one:
            with past_the_line():
                yield

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """The answer, whatever its status below 500. ``operation`` is the metrics' word, ``path`` begins with a slash.

        ``body`` is JSON, or bytes with their own content type in ``headers``. All methods but POST are repeated after a
        failure, a POST only where ``repeatable`` says so or it was surely not carried out.

        Raises Transient, TimeoutUnknown (a POST that may have had its effect), RateLimited, ProviderUnavailable,
        Invalid for an answer that is too long, and what the caller's guard raises (``clouds.guard``).
        """
        request = self._request(method, path, body, headers or {})
        safe = method != "POST" if repeatable is None else repeatable
        until = monotonic() + 2 * self.settings.timeout
        for left in range(self.settings.repeats, -1, -1):
            is_first = left == self.settings.repeats
            try:
                answer = await self._attempt(operation, request)
            except RateLimited as limited:
                if left == 0 or limited.retry_after > self.settings.patience:
                    raise
            except Transient as failure:
                if is_first:
                    self.breaker.began(well=False)
                failure.costs_try = not self.breaker.in_trouble
                if isinstance(failure, TimeoutUnknown) and not safe:
                    raise
                if left == 0 or monotonic() > until:
                    raise _given_up(failure) from failure
            else:
                if is_first:
                    self.breaker.began(well=True)
                return answer
            await asyncio.sleep(random.uniform(0.05, 0.15) * 2 ** (self.settings.repeats - left))  # noqa: S311 - jitter
        raise AssertionError("unreachable: the last attempt returns or raises")

    def set_maintenance(self, on: bool) -> None:
        """While on, every call raises ProviderUnavailable and nothing is sent."""
        self.breaker.maintenance = on
        self._metrics.maintenance(on)

    def login_refused(self, refusal: AuthExpired) -> ProviderUnavailable:
        """All work of the region waits until a login is let in; what the caller is to raise."""
        wait = self.breaker.refused(monotonic())
        self._metrics.breaker(State.OPEN)
        log.warning("cloud.login_refused", region=self.region.code, error=str(refusal), retry_after=wait.seconds)
        return _unavailable(wait)

    def health(self) -> Health:
        """Counts are since the start; a failure is an answer that never came, or an error of the cloud's own."""
        now = monotonic()
        limited = self.breaker.limited_for(now)
        return Health(self.region.code, self.breaker.state(now), limited, self._calls, self._failures)

    async def aclose(self) -> None:
        self._connections.close()

    async def _attempt(self, operation: str, request: bytes) -> Answer:
        """One request. Every failure that leaves open whether it was carried out is a TimeoutUnknown."""
        waits = not _in_turn.get() and self.breaker.is_careful(monotonic())
        async with self._one_by_one if waits else nullcontext(), self._slots:
            await self._admission()
            started, outcome = monotonic(), "unanswered"
            count_call()
            try:
                answer = await self._connections.exchange(request, self.settings.timeout)
                outcome = self._judge(answer)
            except TimeoutError:
                self._failed(operation, started)
                raise TimeoutUnknown(f"No answer from the cloud within {self.settings.timeout:g} s.") from None
            except OSError as wrong:
                self._failed(operation, started)
                raise _unanswered(wrong) from wrong
            except BaseException:  # whatever it is, it must not keep the place of a probe
                self.breaker.abandoned()
                raise
            finally:
                self._calls += 1
                self._failures += outcome in ("failed", "unanswered")
                self._metrics.called(operation, outcome, monotonic() - started)
        return self._sorted(operation, outcome, answer, started)

    def _judge(self, answer: Answer) -> str:
        if answer.status == 429:
            return "limited"
        if answer.status >= 500:
            return "failed"
        return "ok" if answer.status < 300 else "refused"

    def _sorted(self, operation: str, outcome: str, answer: Answer, started: float) -> Answer:
        if outcome == "limited":
            wait = retry_after(answer.headers.get("retry-after"), sent_at(answer.headers.get("date")))
            self.breaker.limited(monotonic(), wait)
            log.warning("cloud.rate_limited", region=self.region.code, operation=operation, retry_after=wait)
            raise RateLimited(_WAITING["rate"], retry_after=wait)
        if outcome == "failed":
            self._failed(operation, started)
            raise TimeoutUnknown(f"The cloud answered {answer.status}.", code="cloud_unavailable")
        if answer.status == 401:
            self.breaker.abandoned()  # the login that follows decides
        elif self.breaker.succeeded(monotonic()):
            self._metrics.breaker(State.CLOSED)
            log.info("cloud.breaker_closed", region=self.region.code, operation=operation)
        return answer

    async def _admission(self) -> None:
        """Raises ProviderUnavailable, unless the wait is short enough to sit it out, and what the guard raises."""
        ask_guard()
        while (wait := self.breaker.ask(monotonic())) is not None:
            if wait.reason != "rate" or wait.seconds > self.settings.patience:
                raise _unavailable(wait)
            await asyncio.sleep(wait.seconds)
            ask_guard()
        if self.breaker.probing:
            self._metrics.breaker(State.HALF_OPEN)

    def _failed(self, operation: str, began: float) -> None:
        if self.breaker.failed(monotonic(), began):
            self._metrics.breaker(State.OPEN)
            log.warning("cloud.breaker_opened", region=self.region.code, operation=operation)

    def _request(self, method: str, path: str, body: Any, headers: Mapping[str, str]) -> bytes:
        """What is sent, however often. Raises Invalid for what would be another request than it seems."""
        sent = {"accept": "application/json", **headers}
        if body is not None and not isinstance(body, bytes):
            sent["content-type"] = "application/json"
            body = json.dumps(body).encode()
        if body is not None or method in ("POST", "PUT", "PATCH"):
            sent["content-length"] = str(len(body or b""))
        target = self._base + path
        lines = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        if not _TARGET.fullmatch(target) or lines.count("\r") + lines.count("\n") != 2 * len(sent):
            raise Invalid(f"{method} {target!r} is not sent: a character in it or in a header would end the line.")
        return f"{method} {target} HTTP/1.1\r\n{self._standing}{lines}\r\n".encode("latin-1") + (body or b"")


def _unanswered(wrong: Exception) -> Transient:
    """Refused before anything was sent, or unknown."""
    if isinstance(wrong, NotConnected):
        return Transient("The cloud cannot be reached.")
    return TimeoutUnknown("The connection to the cloud broke before its answer.")


def _given_up(failure: Transient) -> Transient:
    """Of a call that may be made again, whether it had its effect or not."""
    error = Transient(str(failure), code=failure.code)
    error.costs_try = failure.costs_try
    return error


def _unavailable(wait: Wait) -> ProviderUnavailable:
    return ProviderUnavailable(_WAITING[wait.reason], retry_after=wait.seconds, reason=wait.reason)


def _tls_context(region: Region) -> ssl.SSLContext | None:
    if region.url.startswith("http:"):
        return None
    return ssl.create_default_context(cafile=region.ca_file)
