"""A login shared by every call on a region: one token, renewed by one caller while the others wait for it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from time import monotonic
from typing import Any, Generic, TypeVar

from clouds.answers import Answer
from clouds.errors import AuthExpired, Invalid
from clouds.http import RegionHttp, past_the_line

RENEW_AT = 0.9
"""The part of a token's life after which it is renewed."""

T = TypeVar("T")


class Once(Generic[T]):
    """A value that is read from the cloud once per process; callers at the same time share one reading."""

    def __init__(self, read: Callable[[], Awaitable[T]]) -> None:
        self._read = read
        self._lock = asyncio.Lock()
        self._value: T | None = None

    async def get(self) -> T:
        if self._value is None:
            async with self._lock:
                if self._value is None:
                    with past_the_line():
                        self._value = await self._read()
        return self._value

    def forget(self) -> None:
        """Read again at the next ``get``."""
        self._value = None


class IdentitySession:
    """Calls with a Keystone token (zCompute's identity is derived from Keystone's).

    ``scope_project`` scopes the token to that project of the account, else it is scoped to the account (a domain).
    """

    def __init__(self, http: RegionHttp, auth_path: str, scope_project: str | None) -> None:
        self._http = http
        self._auth_path = auth_path
        self._scope_project = scope_project
        self._lock = asyncio.Lock()
        self._token = ""
        self._renew_at = 0.0

    async def call(
        self,
        operation: str,
        method: str,
        path: str,
        *,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
    ) -> Answer:
        """As ``RegionHttp.call``; after a 401 once more with a fresh token, and AuthExpired is raised after another."""
        token = await self._fresh_token()
        sent = {**(headers or {}), "x-auth-token": token}
        answer = await self._http.call(operation, method, path, body=body, headers=sent, repeatable=repeatable)
        if answer.status != 401:
            return answer
        sent["x-auth-token"] = await self._fresh_token(refused=token)
        answer = await self._http.call(operation, method, path, body=body, headers=sent, repeatable=repeatable)
        return answer if answer.status != 401 else answer.refuse(operation)

    async def _fresh_token(self, refused: str | None = None) -> str:
        if self._token and self._token != refused and monotonic() < self._renew_at:
            return self._token
        async with self._lock:
            if self._token and self._token != refused and monotonic() < self._renew_at:
                return self._token  # renewed by another caller meanwhile
            try:
                with past_the_line():
                    self._token, lifetime = await self._login()
            except AuthExpired as refusal:
                raise self._http.login_refused(refusal) from refusal
            self._renew_at = monotonic() + lifetime * RENEW_AT
            return self._token

    async def _login(self) -> tuple[str, float]:
        answer = await self._http.call("login", "POST", self._auth_path, body=self._credentials(), repeatable=True)
        if answer.status == 401 and "openstack-auth-receipt" in answer.headers:
            raise AuthExpired("The cloud asks our account for a second factor; use one without.")
        answer.expect("log in", 200, 201)
        token = answer.headers.get("x-subject-token", "")
        if not token:
            raise Invalid("The cloud's login answer has no X-Subject-Token.")
        return token, _lifetime(answer.json())

    def _credentials(self) -> dict[str, Any]:
        region = self._http.region
        domain = {"name": region.account}
        user = {"name": region.username, "domain": domain, "password": region.password.get_secret_value()}
        scope = (
            {"project": {"name": self._scope_project, "domain": domain}} if self._scope_project else {"domain": domain}
        )
        return {"auth": {"identity": {"methods": ["password"], "password": {"user": user}}, "scope": scope}}


def _lifetime(document: Any) -> float:
    """Seconds, by the cloud's own clock alone."""
    try:
        token = document["token"]
        return (
            datetime.fromisoformat(token["expires_at"]) - datetime.fromisoformat(token["issued_at"])
        ).total_seconds()
    except (KeyError, TypeError, ValueError):
        raise Invalid("The cloud's login answer does not say how long the token lives.") from None
