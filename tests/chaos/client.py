"""Sends operations as people's clients do, to either replica, and keeps what came back."""

import time
from collections.abc import Mapping
from random import Random
from typing import Any

import httpx

from tests.chaos.history import History, Sent
from tests.chaos.operations import Operation
from tests.chaos.population import REGIONS, Population

TIMEOUT = 20.0
"""The longest that a client waits; far more than any answer should take, so what ends here has no answer."""


class Client:
    """One administrator. Everything that it is answered goes to the history and to the population."""

    def __init__(self, urls: list[str], token: str, random: Random, history: History, there: Population) -> None:
        self.history = history
        self.there = there
        self._random = random
        self._urls = urls
        self._begun = time.monotonic()
        self._http = httpx.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=TIMEOUT)

    async def close(self) -> None:
        await self._http.aclose()

    @property
    def now(self) -> float:
        """Seconds since the round began."""
        return time.monotonic() - self._begun

    async def get(self, path: str, **query: str | int) -> httpx.Response | None:
        """One look below `/admin/v1`; None where nobody answered."""
        try:
            return await self._http.get(f"{self._random.choice(self._urls)}/admin/v1{path}", params=query)
        except httpx.HTTPError:
            return None

    async def ask(self, operation: Operation, identifier: str | None = None) -> Sent | None:
        """Draws what is open in the operation and sends it; None where there is nothing to send it to."""
        places: dict[str, Any] = {"region": self._random.choice(REGIONS)}
        if operation.on_project:
            places["identifier"] = identifier or self.there.some_project(self._random)
        if "{user}" in operation.path:
            enough = len(self.there.users) >= operation.fewest_users
            places["user"] = self.there.some_user(self._random, places.get("identifier")) if enough else None
        if "{tenant}" in operation.path:
            places["tenant"] = self._random.choice(self.there.tenants) if self.there.tenants else None
        if None in places.values():
            return None
        body = operation.body(self._random, self.there) if operation.body else {}
        return await self.send(operation, body, places=places)

    async def send(
        self,
        operation: Operation,
        body: Mapping[str, Any],
        *,
        places: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        name: str | None = None,
    ) -> Sent:
        """Sends exactly this; ``name`` is for an operation that is told apart from its like."""
        places, at = places or {}, self.now
        url = f"{self._random.choice(self._urls)}/admin/v1{operation.path.format(**places)}"
        status: int | None = None
        raw, answer = b"", dict[str, Any]()
        try:
            response = await self._http.request(operation.method, url, json=body or None, headers=headers)
        except httpx.HTTPError as error:
            answer = {"message": repr(error)}
        else:
            status, raw, answer = response.status_code, response.content, _json(response)
        sent = Sent(
            name=name or operation.name,
            at=at,
            ended=self.now,
            status=status,
            project=places.get("identifier"),
            user=places.get("user"),
            tenant=places.get("tenant"),
            body=body,
            headers=headers or {},
            answer=answer,
            raw=raw,
        )
        self.history.sent.append(sent)
        self.there.learn(sent)
        return sent


def _json(response: httpx.Response) -> dict[str, Any]:
    try:
        found = response.json()
    except ValueError:
        return {"message": response.text[:300]}
    return found if isinstance(found, dict) else {}
