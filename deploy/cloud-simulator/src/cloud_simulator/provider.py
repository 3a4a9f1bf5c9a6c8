"""The provider's HTTP side: finds who answers, counts the call, and lets the faults have their way with it.

Plain ASGI rather than a framework's routing, because benchmarks measure their own services through this process.
"""

import asyncio
from enum import Enum, auto

from starlette.types import Receive, Scope, Send

from cloud_simulator import iam, identity
from cloud_simulator.answers import Answer, error_answer, fault_answer, gateway_page, rate_limited_answer
from cloud_simulator.behaviour import strikes
from cloud_simulator.errors import Forbidden, Refusal
from cloud_simulator.login import MfaRequired
from cloud_simulator.protocol import close_connection
from cloud_simulator.routes import Call, Route, Routes
from cloud_simulator.simulator import Simulator

PREFIX = "/api/v2"
_IAM_PATHS = ("/aws/iam", "/aws/iam/")


class Silence(Enum):
    """How a call ends without an answer."""

    CLOSED = auto()
    HANGING = auto()


def _not_found(_: Simulator, __: Call) -> Answer:
    return gateway_page(404)


UNKNOWN = Route("(unknown)", _not_found, is_public=True)


class Provider:
    """The ASGI application for every path but `/_sim`."""

    def __init__(self, simulator: Simulator) -> None:
        self._simulator = simulator
        self._routes = Routes(identity.ROUTES)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers, closes the connection, or holds it open until the client gives up."""
        call = Call(scope["method"], scope["path"], dict(scope["headers"]), scope["query_string"], await _read(receive))
        route = self._route(call)
        self._simulator.stats.arrived(route.label)
        try:
            outcome = await self._outcome(route, call)
            if isinstance(outcome, Answer):
                await _send(outcome, send)
                return
            if outcome is Silence.CLOSED:
                close_connection(scope)
            while (await receive())["type"] != "http.disconnect":
                pass
        finally:
            self._simulator.stats.left()

    def _route(self, call: Call) -> Route:
        path = call.path.removeprefix(PREFIX)
        if path == call.path:
            return UNKNOWN
        if path in _IAM_PATHS and call.method == "POST":
            return iam.ACTIONS.get(call.form().get("Action", ""), iam.UNKNOWN_ACTION)
        if (found := self._routes.find(call.method, path)) is None:
            return UNKNOWN
        route, call.params = found
        return route

    async def _outcome(self, route: Route, call: Call) -> Answer | Silence:
        """Faults that strike before the effect, in order; then the delay, the effect, and the cut."""
        faults = self._simulator.faults
        behaviour = faults.behaviour
        if behaviour.down:
            return Silence.CLOSED
        if not faults.admits():
            self._simulator.stats.rate_limited += 1
            return rate_limited_answer(behaviour.retry_after_s)
        if strikes(behaviour.hang_rate):
            return Silence.HANGING
        if strikes(behaviour.error_rate):
            return fault_answer(behaviour.error_status)
        if delay_ms := getattr(behaviour.latency_ms, route.latency):
            await asyncio.sleep(delay_ms / 1000)
        answer = self._answer(route, call)
        if route.has_effect and answer.status < 300 and strikes(behaviour.cut_after_success_rate):
            return Silence.CLOSED
        return answer

    def _answer(self, route: Route, call: Call) -> Answer:
        try:
            if not route.is_public:
                self._authorize(route, call)
            return route.handler(self._simulator, call)
        except MfaRequired as error:
            return error_answer(error)._replace(headers=((b"openstack-auth-receipt", b"simulated"),))
        except Refusal as error:
            return route.error_answer(error)

    def _authorize(self, route: Route, call: Call) -> None:
        if route.error_answer is iam.error_answer and call.token is None:
            iam.authorize_signed(self._simulator, call)
            return
        call.session = self._simulator.tokens.check(call.token, self._simulator.faults.behaviour.token_ttl_s)
        if not call.session.is_admin:
            raise Forbidden("You are not authorized to perform the requested action.")


async def _read(receive: Receive) -> bytes:
    """The whole body; what arrived of it where the client gives up half-way."""
    body: bytes = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            return body


async def _send(answer: Answer, send: Send) -> None:
    headers = list(answer.headers)
    if answer.status != 204:
        headers += [(b"content-type", answer.content_type), (b"content-length", str(len(answer.body)).encode())]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body})
