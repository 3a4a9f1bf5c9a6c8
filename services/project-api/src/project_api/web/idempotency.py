"""The Idempotency-Key header, as draft-ietf-httpapi-idempotency-key-header-07 has it.

The key is a Structured Field string (RFC 9651): quoted, printable ASCII. It counts within one tenant, user and route.
The answer is stored in the transaction that does the work, under an advisory lock: a lock that is not got is a request
that still runs (409), and a crash leaves nothing behind. 401, 403 and a 422 before the first write are not stored, so
the same key may be sent again once they are mended. Answers are kept for 24 hours (``IDEMPOTENCY_HOURS``).
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backbone.database import Database
from fastapi import Response
from pydantic import BaseModel

from project_api.auth.tokens import Principal
from project_api.web.errors import Problem, invalid

MAX_KEY = 255
HEADER = "Idempotency-Key"

_STRING = re.compile(r'"(?P<key>(?:[\x20-\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"')
_DOCUMENTATION = "/docs#idempotency-key"

FORGET = (
    "DELETE FROM idempotency_keys WHERE (scope, key) IN (SELECT scope, key FROM idempotency_keys"
    " WHERE created_at < now() - make_interval(hours => :hours) LIMIT 5000)"
)

CALLER = "(SELECT set_config('uca.tenant', :tenant, true), set_config('uca.user', :user, true))"
"""Enters the caller for one statement, whose rows of a key are under row-level security."""

STORE = (
    "INSERT INTO idempotency_keys (scope, key, fingerprint, status, headers, body)"  # noqa: S608 - our own words
    " SELECT CAST(:scope AS text), CAST(:key AS text), CAST(:fingerprint AS bytea), CAST(:status AS integer),"
    f" CAST(:headers AS jsonb), CAST(:body AS bytea) FROM {CALLER} AS caller"
)


@dataclass(frozen=True, slots=True)
class Answer:
    """What a request was answered, kept for its repeats to the byte."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def response(self, **more: str) -> Response:
        """As the client gets it."""
        return Response(self.body, self.status, {**self.headers, **more}, media_type="application/json")


@dataclass(frozen=True, slots=True)
class Key:
    """One request's key; ``fingerprint`` is of what was asked, whatever the order of its fields."""

    scope: str
    key: str
    fingerprint: bytes

    @property
    def lock(self) -> int:
        """The number of the advisory lock under which this key's request runs."""
        digest = hashlib.blake2b(f"{self.scope}\n{self.key}".encode(), digest_size=8).digest()
        return int.from_bytes(digest, "big", signed=True)

    def values(self, answer: Answer) -> dict[str, Any]:
        """What :data:`STORE` takes."""
        return {
            "scope": self.scope,
            "key": self.key,
            "fingerprint": self.fingerprint,
            "status": answer.status,
            "headers": json.dumps(dict(answer.headers)),
            "body": answer.body,
        }

    def replay(self, kept: Any) -> Answer | None:
        """The stored answer; ``kept`` is the key's row, or has a null ``status``. Raises a 422 for another body."""
        if kept.status is None:
            return None
        if kept.fingerprint != self.fingerprint:
            raise _problem(422, "This Idempotency-Key was used with another body. Send a new key with a new request.")
        return Answer(kept.status, kept.headers, kept.body)


def running() -> Problem:
    """The 409 of a request whose first attempt has not been answered yet."""
    return _problem(
        409, "A request with this Idempotency-Key is still running. Try again shortly.", {"Retry-After": "1"}
    )


def key_of(principal: Principal, route: str, header: str | None, body: BaseModel) -> Key | None:
    """The request's key; None where it sent none. Raises a 400 for a malformed one."""
    if header is None:
        return None
    tenant = "-" if principal.tenant_id is None else principal.tenant_id
    content = json.dumps(body.model_dump(mode="json", exclude_unset=True), sort_keys=True, separators=(",", ":"))
    return Key(f"{tenant}/{principal.user_id}/{route}", parse(header), hashlib.sha256(content.encode()).digest())


def parse(header: str) -> str:
    """The string that the header holds. Raises a 400 that says how to write it."""
    match = _STRING.fullmatch(header.strip(" "))
    key = re.sub(r'\\(["\\])', r"\1", match["key"]) if match else ""
    if not 1 <= len(key) <= MAX_KEY:
        raise _problem(
            400, f'Idempotency-Key must be a quoted string of 1 to {MAX_KEY} characters, as in: "8e03978e-40d5-43e8".'
        )
    return key


async def forget(database: Database, hours: float) -> None:
    """Deletes answers older than that, in batches."""
    deleted = 5000
    while deleted == 5000:
        deleted = (await database.execute(FORGET, {"hours": int(hours)})).rowcount


def _problem(status: int, words: str, headers: Mapping[str, str] | None = None) -> Problem:
    link = {"Link": f'<{_DOCUMENTATION}>; rel="describedby"; type="text/html"'}
    if status == 422:
        return Problem(
            422, words, errors=invalid(HEADER, words).errors, headers={**link, **(headers or {})}, kind=_DOCUMENTATION
        )
    return Problem(status, words, headers={**link, **(headers or {})}, kind=_DOCUMENTATION)
