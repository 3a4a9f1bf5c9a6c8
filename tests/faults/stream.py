"""The load: projects of two users, one after another at a steady rate, by a client that repeats what had no answer."""

import asyncio
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from uuid import uuid4

import httpx

PATIENCE = 240.0
"""Seconds for which the client goes on asking for one project."""

LONGEST_PAUSE = 6.0
"""Seconds between two tries at most. They double up to it: a client that hammers would itself be what starves."""

TIMEOUT = 30.0
"""The longest that the client waits for one answer; far more than any answer should take."""


class Stream:
    """A project without a tenant has the two admins for its participants."""

    def __init__(
        self,
        urls: Sequence[str],
        token: str,
        *,
        name: str,
        count: int,
        rate: float,
        regions: Sequence[str] = ("region-1", "region-2"),
    ) -> None:
        self.urls = urls
        self._headers = {"Authorization": f"Bearer {token}"}
        self.prefix = f"{name}-{uuid4().hex[:6]}"
        """What every name begins with."""
        self.count = count
        """It may be raised, and :meth:`run` be called again."""
        self.rate = rate
        self._begun = 0
        self._regions = regions
        self.fields: Mapping[str, object] = {}
        """What each project has beside name and region."""
        self.accepted: dict[str, str] = {}
        """Identifier by name, of each project that was answered with a 2xx."""
        self.removed: set[str] = set()
        """Identifiers whose removal was accepted."""
        self.answers: Counter[str] = Counter()
        self.slowest = 0.0
        self.contradictions = 0
        """Same key, another project."""

    async def run(self) -> None:
        """Returns once each project was accepted or given up."""
        async with self._client() as client, asyncio.TaskGroup() as group:
            begin, first = time.monotonic(), self._begun
            for number in range(first, self.count):
                await asyncio.sleep(max(0.0, begin + (number - first) / self.rate - time.monotonic()))
                group.create_task(self._create(client, number))
            self._begun = self.count

    async def remove(self, identifier: str) -> None:
        """Asks for the removal of a project until that is accepted."""
        async with self._client() as client, asyncio.timeout(PATIENCE):
            for attempt in range(1000):
                url = f"{self.urls[attempt % len(self.urls)]}/admin/v1/projects/{identifier}"
                answer = await self._ask(client, "DELETE", url)
                if answer is not None and answer.status_code in (202, 404):
                    self.removed.add(identifier)
                    return
                await asyncio.sleep(0.3)

    async def retry(self, identifiers: Sequence[str]) -> None:
        """Has failed projects tried again."""
        async with self._client() as client:
            for identifier in identifiers:
                url = f"{self.urls[0]}/admin/v1/projects/{identifier}/retry-provisioning"
                await self._ask(client, "POST", url)

    def _client(self) -> httpx.AsyncClient:
        # What waits for a connection of the client's own would count as an answer that is late.
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=50)
        return httpx.AsyncClient(headers=self._headers, timeout=TIMEOUT, limits=limits)

    async def _create(self, client: httpx.AsyncClient, number: int) -> None:
        name = f"{self.prefix}-{number}"
        key = {"Idempotency-Key": f'"{name}"'}
        body = {"name": name, "region": self._regions[number % len(self._regions)], **self.fields}
        deadline = time.monotonic() + PATIENCE
        attempt = number
        while time.monotonic() < deadline:
            url = f"{self.urls[attempt % len(self.urls)]}/admin/v1/projects"
            answer = await self._ask(client, "POST", url, json=body, headers=key)
            attempt += 1
            if answer is not None and answer.is_success:
                repeated = name in self.accepted
                self._accept(name, answer.json()["identifier"])
                if repeated or attempt == number + 1:
                    return
                # It did not go smoothly: a repeat must tell of the same project.
            else:
                await asyncio.sleep(min(LONGEST_PAUSE, 0.3 * 2 ** (attempt - number - 1)))

    def _accept(self, name: str, identifier: str) -> None:
        if self.accepted.setdefault(name, identifier) != identifier:
            self.contradictions += 1

    async def _ask(self, client: httpx.AsyncClient, method: str, url: str, **more: object) -> httpx.Response | None:
        begin = time.monotonic()
        try:
            answer = await client.request(method, url, **more)  # type: ignore[arg-type] # httpx's own keywords
        except httpx.HTTPError:
            self.answers["no answer"] += 1
            return None
        finally:
            self.slowest = max(self.slowest, time.monotonic() - begin)
        self.answers["2xx" if answer.is_success else str(answer.status_code)] += 1
        return answer
