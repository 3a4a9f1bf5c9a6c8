"""The status as pages poll it, past the framework: its routing and parsing cost more than saying that nothing is new.

Only a plain GET without a query is taken here; every other one, a long poll above all, goes to the route that is
described, and both are answered by the same function.
"""

import re
from dataclasses import dataclass

from backbone.database import DatabaseUnavailable
from starlette.types import ASGIApp, Receive, Scope, Send

from project_api import status
from project_api.api import LONGEST_IDENTIFIER, PREFIXES
from project_api.errors import Problem, away
from project_api.parts import Caller, Parts

_PATH = re.compile(
    rf"(?P<prefix>{'|'.join(map(re.escape, PREFIXES))})/(?P<identifier>[^/]{{1,{LONGEST_IDENTIFIER}}})/status"
)


@dataclass(frozen=True, slots=True)
class _Taken:
    """What the metrics name in the place of a route; ``path`` is that of the described one."""

    path: str


_ROUTES = {prefix: _Taken(f"{prefix}/{{identifier}}/status") for prefix in PREFIXES}


class Polls:
    """ASGI, behind the guard: answers polls, and lets the rest pass."""

    def __init__(self, app: ASGIApp, *, parts: Parts) -> None:
        self._app = app
        self._parts = parts

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        match = _PATH.fullmatch(scope["path"]) if _is_plain(scope) else None
        if match is None:
            await self._app(scope, receive, send)
            return
        scope["route"] = _ROUTES[match["prefix"]]
        caller = Caller(scope["principal"], self._parts)
        try:
            response = await status.answer(caller, match["identifier"], _known(scope), None)
        except Problem as problem:
            response = problem.response()
        except DatabaseUnavailable as error:
            response = away(scope["path"], error)
        await response(scope, receive, send)


def _is_plain(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "GET" and not scope["query_string"]


def _known(scope: Scope) -> str | None:
    """If-None-Match."""
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"), None)
