"""Calls and the table that finds who answers them: one dictionary look-up and a short comparison per call."""

import json
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal
from urllib.parse import parse_qsl

from cloud_simulator.answers import Answer, error_answer
from cloud_simulator.errors import Invalid, Refusal
from cloud_simulator.simulator import Simulator
from cloud_simulator.tokens import Session


@dataclass(slots=True)
class Call:
    """One request to the provider, read in full."""

    method: str
    path: str
    headers: Mapping[bytes, bytes]
    query_string: bytes
    body: bytes
    params: dict[str, str] = field(default_factory=dict)
    session: Session | None = None

    @property
    def token(self) -> str | None:
        """`X-Auth-Token`, where there is one."""
        return self.headers[b"x-auth-token"].decode("latin-1") if b"x-auth-token" in self.headers else None

    @property
    def account_id(self) -> str | None:
        """The account that the caller's token is scoped to; None for a signed call, which may reach each of them."""
        return self.session.account_id if self.session else None

    def query(self) -> dict[str, str]:
        """The last value of each name."""
        return dict(parse_qsl(self.query_string.decode("latin-1"), keep_blank_values=True))

    def form(self) -> dict[str, str]:
        """The body as an HTML form; what is not one comes out empty."""
        return dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))

    def json_object(self) -> dict[str, Any]:
        """The body. Raises Invalid where it is anything but a JSON object."""
        try:
            value = json.loads(self.body)
        except ValueError:
            raise Invalid("The request body is not JSON.") from None
        if not isinstance(value, dict):
            raise Invalid("The request body must be a JSON object.")
        return value


Handler = Callable[[Simulator, Call], Answer]


@dataclass(frozen=True, slots=True)
class Route:
    """Who answers, and what the faults need to know of it. `label` is the name in the counts."""

    label: str
    handler: Handler
    latency: Literal["default", "project", "user"] = "default"
    has_effect: bool = False
    is_public: bool = False
    error_answer: Callable[[Refusal], Answer] = error_answer


class Routes:
    """Templates such as `PUT /projects/{p}`, told apart by method, number of segments, and the fixed segments."""

    def __init__(self, routes: list[Route]) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[list[str], Route]]] = defaultdict(list)
        for route in routes:
            method, template = route.label.split(" ")
            segments = template.split("/")
            self._by_shape[method, len(segments)].append((segments, route))

    def find(self, method: str, path: str) -> tuple[Route, dict[str, str]] | None:
        """The route with the values of its parameters; None where there is no such path or method."""
        segments = path.split("/")
        for template, route in self._by_shape.get((method, len(segments)), ()):
            params: dict[str, str] = {}
            for expected, actual in zip(template, segments, strict=True):
                if expected.startswith("{") and actual:
                    params[expected[1:-1]] = actual
                elif expected != actual:
                    break
            else:
                return route, params
        return None
