"""The poll that asks whether anything is new, past the framework: its parsing costs three times what the answer does.

Only a plain GET of a status with If-None-Match and no query comes in here; every other one goes to the route that is
described, and both are answered by the same function.
"""

from typing import Any

from fastapi import FastAPI, Request, Response
from starlette.routing import Match, Route
from starlette.types import Scope

from project_api import status
from project_api.api import LONGEST_IDENTIFIER, PREFIXES
from project_api.parts import Caller, Parts


class Polls(Route):
    """Takes what may be answered by a 304, and lets the rest pass to the routes behind it."""

    def matches(self, scope: Scope) -> tuple[Match, dict[str, Any]]:
        """A full match or none, for another method of the address is another route's."""
        if scope["type"] != "http" or scope["method"] != "GET" or scope["query_string"] or not _known(scope):
            return Match.NONE, {}
        match, child = super().matches(scope)
        if match is not Match.FULL or len(child["path_params"]["identifier"]) > LONGEST_IDENTIFIER:
            return Match.NONE, {}
        return match, {**child, "route": self}


def _known(scope: Scope) -> str | None:
    return next((value.decode("latin-1") for name, value in scope["headers"] if name == b"if-none-match"), None)


def install(app: FastAPI, parts: Parts) -> None:
    """Puts it before every other route; it is in no description, being another way to one that is."""

    async def answer(request: Request) -> Response:
        scope = request.scope
        caller = Caller(scope["principal"], parts)
        return await status.answer(caller, scope["path_params"]["identifier"], _known(scope), None)

    paths = [f"{prefix}/{{identifier}}/status" for prefix in PREFIXES]
    app.router.routes[:0] = [Polls(path, answer, methods=["GET"], include_in_schema=False) for path in paths]
