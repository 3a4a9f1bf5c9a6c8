"""What most of the load is, past the framework: a plain poll of a status, and a plain create.

The framework's routing and parsing cost more than saying that nothing is new, and a fifth of what a create costs. Both
are answered by the function that answers the described route, and what is not plain goes on to that route: a query, a
long poll above all, and a body that is wrong in any way, for only the route says in what.
"""

import re
from dataclasses import dataclass

from backbone.away import DatabaseUnavailable
from fastapi import Response
from pydantic import ValidationError
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from project_api import status
from project_api.api import LONGEST_IDENTIFIER, PREFIXES, create
from project_api.parts import Caller, Parts
from project_api.requests import ProjectBody
from project_api.web.errors import Problem, away

_STATUS = re.compile(
    rf"(?P<prefix>{'|'.join(map(re.escape, PREFIXES))})/(?P<identifier>[^/]{{1,{LONGEST_IDENTIFIER}}})/status"
)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What the metrics name in the place of a route; ``path`` is that of the described one."""

    path: str


_POLLED = {prefix: _Taken(f"{prefix}/{{identifier}}/status") for prefix in PREFIXES}
_CREATED = {prefix: _Taken(prefix) for prefix in PREFIXES}


class FastPath:
    """ASGI, behind the guard: answers what is plain, and lets the rest pass."""

    def __init__(self, app: ASGIApp, *, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        response: Response | None = None
        if scope["type"] == "http" and not scope["query_string"]:
            try:
                if scope["method"] == "GET" and (match := _STATUS.fullmatch(scope["path"])):
                    response = await self._poll(scope, match)
                elif scope["method"] == "POST" and scope["path"] in _CREATED:
                    body, receive = await _read(receive)
                    response = await self._create(scope, body)
            except Problem as problem:
                response = problem.response()
            except DatabaseUnavailable as error:
                response = away(scope["path"], error)
        await (response or self._app)(scope, receive, send)

    async def _poll(self, scope: Scope, match: re.Match[str]) -> Response:
        scope["route"] = _POLLED[match["prefix"]]
        known = _header(scope, b"if-none-match")
        return await status.answer(self._caller(scope), match["identifier"], known, None)

    async def _create(self, scope: Scope, content: bytes) -> Response | None:
        try:
            body = ProjectBody.model_validate_json(content)
        except ValidationError:
            return None
        scope["route"] = _CREATED[scope["path"]]
        key, prefer = _header(scope, b"idempotency-key"), _header(scope, b"prefer")
        return await create(self._caller(scope), body, scope["path"], key, prefer)

    def _caller(self, scope: Scope) -> Caller:
        return Caller(scope["principal"], self._parts)


def _header(scope: Scope, wanted: bytes) -> str | None:
    """The header's lines as one list, as RFC 9110 has it."""
    lines = [value.decode("latin-1") for name, value in scope["headers"] if name == wanted]
    return ", ".join(lines) if lines else None


async def _read(receive: Receive) -> tuple[bytes, Receive]:
    """The body, empty where the client went away before its end, and what gives it again to whoever reads after us."""
    messages: list[Message] = []
    more = True
    while more:
        messages.append(await receive())
        more = messages[-1].get("more_body", False)
    whole = messages[-1]["type"] == "http.request"
    again = iter(messages)

    async def receiving() -> Message:
        return next(again, None) or await receive()

    return b"".join(each.get("body", b"") for each in messages) if whole else b"", receiving
