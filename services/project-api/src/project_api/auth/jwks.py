"""An identity provider's keys: fetched from one pinned URL, seldom, beside the requests, and kept when it is away."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any

import httpx
import jwt
import structlog
from prometheus_client import Counter
from pydantic_core import from_json

from project_api.auth.tokens import Unauthenticated
from project_api.web.errors import unavailable

log = structlog.get_logger()

FETCHES = Counter("uca_jwks_fetches_total", "Fetches of the identity provider's keys", ("outcome",))

COOLDOWN = 30.0
"""Seconds between two fetches at the least, whatever key ids are asked for."""
REFRESH = 600.0
"""Seconds after which keys are fetched again, so that a withdrawn one ends."""
MAX_BYTES = 256 * 1024
MAX_KEYS = 100


class KeySet:
    """Verification keys by id."""

    algorithms = ("RS256", "RS384", "RS512", "PS256", "ES256", "ES384", "EdDSA")

    def __init__(self, url: str, client: httpx.AsyncClient, clock: Callable[[], float] = time.monotonic) -> None:
        self._url = url
        self._client = client
        self._clock = clock
        self._keys: Mapping[str | None, jwt.PyJWK] = {}
        self._fetching = asyncio.Lock()
        self._last_try = float("-inf")
        self.generation = 0

    def fetched(self) -> bool:
        """Whether there are keys to judge by, as there are from the first fetch that succeeds."""
        return bool(self._keys)

    async def find(self, kid: str | None) -> jwt.PyJWK:
        """The key of that id; an unknown one is looked for once, unless that was done a moment ago.

        Raises a 503 as long as there are no keys at all: the token may be good.
        """
        if kid not in self._keys:
            async with self._fetching:
                if kid not in self._keys and self._clock() - self._last_try >= COOLDOWN:
                    await self._fetch()
        if not self._keys:
            words = "The identity provider's keys could not be fetched yet, so nobody can be let in. Try again shortly."
            raise unavailable(words, retry_after=int(COOLDOWN))
        try:
            return self._keys[kid]
        except KeyError:
            raise Unauthenticated("The token is signed with a key that is not known here.") from None

    async def refresh(self) -> None:
        """A background round: fetches keys anew once they are old, or as long as there are none."""
        async with self._fetching:
            if self._clock() - self._last_try >= (REFRESH if self._keys else COOLDOWN):
                await self._fetch()

    async def _fetch(self) -> None:
        self._last_try = self._clock()
        try:
            keys = parse(await self._body())
        except (httpx.HTTPError, ValueError, TimeoutError) as error:
            FETCHES.labels("failed").inc()
            log.warning("jwks.fetch_failed", error=repr(error), kept=len(self._keys))
            return
        FETCHES.labels("fetched").inc()
        self._keys = keys
        self.generation += 1

    async def _body(self) -> bytes:
        body = bytearray()
        async with asyncio.timeout(5), self._client.stream("GET", self._url) as answer:
            if answer.status_code != 200:
                raise ValueError(f"status {answer.status_code}")
            async for chunk in answer.aiter_bytes():
                body += chunk
                if len(body) > MAX_BYTES:
                    raise ValueError(f"more than {MAX_BYTES} bytes")
        return bytes(body)


def client() -> httpx.AsyncClient:
    """For fetching keys: no redirects, no proxy or credentials from the environment."""
    return httpx.AsyncClient(timeout=5, follow_redirects=False, trust_env=False)


def parse(body: bytes) -> dict[str | None, jwt.PyJWK]:
    """The set's signature keys by id; those of a kind that is not accepted here are left out.

    Raises ValueError where none is left.
    """
    content = from_json(body)
    entries = content.get("keys") if isinstance(content, dict) else None
    usable = map(_key, entries[:MAX_KEYS] if isinstance(entries, list) else ())
    keys = {key.key_id: key for key in usable if key is not None}
    if not keys:
        raise ValueError("no key set with a key that can be used here")
    return keys


def _key(entry: Any) -> jwt.PyJWK | None:
    if not isinstance(entry, dict) or entry.get("use", "sig") != "sig":
        return None
    try:
        key = jwt.PyJWK(entry)
    except jwt.PyJWTError:
        return None
    return key if key.algorithm_name in KeySet.algorithms else None
