"""The API as methods. What it refuses is a :class:`Refused`, its silence an :class:`Unreachable`."""

import re
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Self, TypeVar

import httpx
from pydantic import BaseModel

from uca_cli.models import (
    Created,
    Credential,
    Done,
    Event,
    Letter,
    One,
    Page,
    Preview,
    Project,
    Status,
    Tenant,
    User,
    Verification,
)

TIMEOUT = 30.0
LONG_POLL = 20
"""Seconds that one question for news may take."""
REPEATS = 4
"""How often a request that changes nothing twice is sent again while the API is away."""

Model = TypeVar("Model", bound=BaseModel)


class Refused(Exception):
    """The API answered no; the text is the API's own sentence."""

    def __init__(self, status: int, words: str, errors: Mapping[str, Sequence[str]]) -> None:
        super().__init__(words)
        self.status = status
        self.errors = errors


class Unreachable(Exception):
    """The API did not answer, or was not ready, for longer than it was worth waiting."""


class NoName(ValueError):
    """What should name a project or a service cannot be anybody's name."""


class Client:
    """For one API and one token. To be closed, or used as a context."""

    def __init__(self, url: str, token: str) -> None:
        headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}
        self._http = httpx.Client(base_url=f"{url.rstrip('/')}/admin/v1", headers=headers, timeout=TIMEOUT)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._http.close()

    # --- projects

    def create(self, **fields: Any) -> Created:
        """Creates a project. Sent under a key, so that it is made once however often the network loses the answer."""
        body = {name: value for name, value in fields.items() if value is not None}
        headers = {"Idempotency-Key": f'"{secrets.token_hex(16)}"'}
        return self._one(Created, "POST", "/projects", json=body, headers=headers, repeatable=True)

    def projects(self, **query: Any) -> Page[Project]:
        return self._one(Page[Project], "GET", "/projects", params=_given(query))

    def status(self, identifier: str) -> Status:
        return self._one(Status, "GET", _path("projects", identifier, "status"))

    def watch(self, identifier: str, seconds: float) -> Iterator[Status]:
        """Every status that is news, until the run has ended. Raises TimeoutError after ``seconds``."""
        until, etag = monotonic() + seconds, ""
        while (left := until - monotonic()) > 0:
            wait = max(1, min(LONG_POLL, int(left)))
            path = _path("projects", identifier, "status")
            answer = self._send("GET", path, params={"wait": str(wait)}, headers={"If-None-Match": etag})
            etag = answer.headers.get("ETag", "")
            if answer.status_code == httpx.codes.OK:
                status = Status.model_validate_json(answer.content)
                yield status
                if status.is_final:
                    return
        raise TimeoutError(f"{identifier} has not ended within {seconds:g} s.")

    def command(self, identifier: str, verb: str) -> Done:
        """``verb`` is retry-provisioning, cancel, suspend, resume or provision."""
        return self._one(Done, "POST", _path("projects", identifier, verb), json={})

    def members(self, identifier: str, user_ids: Sequence[int]) -> Done:
        """Makes these the project's chosen members, and nobody else."""
        return self._one(Done, "PUT", _path("projects", identifier, "members"), json={"user_ids": user_ids})

    def sync_user(self, identifier: str, user_id: int) -> Done:
        return self._one(Done, "POST", _path("projects", identifier, "users", str(user_id), "sync"), json={})

    def credential(self, identifier: str, user_id: int) -> Credential:
        """It can be read once, so it is asked for once."""
        path = _path("projects", identifier, "users", str(user_id), "credential")
        return self._one(One[Credential], "GET", path, repeatable=False).data

    def preview(self, identifier: str) -> Preview:
        path = _path("projects", identifier, "provision-simulated")
        return self._one(One[Preview], "POST", path, json={}, repeatable=True).data

    def events(self, identifier: str, **query: Any) -> Page[Event]:
        """The newest first."""
        return self._one(Page[Event], "GET", _path("projects", identifier, "events"), params=_given(query))

    def delete(self, identifier: str) -> Done:
        return self._one(Done, "DELETE", _path("projects", identifier))

    def verify(self, identifier: str) -> Verification:
        return self._one(Verification, "GET", _path("projects", identifier, "verify"))

    # --- directory

    def users(self, **query: Any) -> Page[User]:
        return self._one(Page[User], "GET", "/users", params=_given(query))

    def tenants(self, **query: Any) -> Page[Tenant]:
        return self._one(Page[Tenant], "GET", "/tenants", params=_given(query))

    # --- dead letters

    def letters(self, **query: Any) -> Page[Letter]:
        return self._one(Page[Letter], "GET", "/dead-letters", params=_given(query))

    def letter(self, service: str, number: int) -> Letter:
        return self._one(One[Letter], "GET", _path("dead-letters", service, str(number))).data

    def decide(self, verb: str, **choice: Any) -> Done:
        """``verb`` is replay or discard; what is chosen must be given by ids, service, project, error or time."""
        return self._one(Done, "POST", _path("dead-letters", verb), json=_given(choice), repeatable=True)

    # --- the wire

    def _one(self, model: type[Model], method: str, path: str, **more: Any) -> Model:
        return model.model_validate_json(self._send(method, path, **more).content)

    def _send(self, method: str, path: str, *, repeatable: bool | None = None, **more: Any) -> httpx.Response:
        repeats = REPEATS if repeatable or (repeatable is None and method == "GET") else 0
        for left in range(repeats, -1, -1):
            with suppress(httpx.TransportError):
                answer = self._http.request(method, path, **more)
                if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                    return _checked(answer)
            if left:
                sleep(0.25 * 2 ** (repeats - left))
        raise Unreachable(f"{self._http.base_url.copy_with(path='/')} cannot be reached, or is not ready.")


def _path(*parts: str) -> str:
    """Each is one part, so that what names a project never leads to something else. Raises :class:`NoName`."""
    for part in parts:
        if not re.fullmatch(r"[A-Za-z0-9_-]+", part):
            raise NoName(f"{part!r} is no name: letters, digits, - and _ alone, as in F8Z4RK2M.")
    return "".join(f"/{part}" for part in parts)


def _checked(answer: httpx.Response) -> httpx.Response:
    if answer.is_error:
        try:
            body = answer.json()
        except ValueError:
            body = {}
        raise Refused(answer.status_code, body.get("message") or answer.reason_phrase, body.get("errors") or {})
    return answer


def _given(values: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if value is not None}
