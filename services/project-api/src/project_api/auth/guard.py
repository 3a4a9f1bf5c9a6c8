"""Who calls, and whether their kind may come in here at all: before any route, so that no route can forget it."""

import hmac
import secrets
from collections.abc import Iterable
from typing import Literal

from fastapi import APIRouter, Response
from pydantic import BaseModel
from starlette.types import ASGIApp, Receive, Scope, Send

from project_api.auth.tokens import Principal, Role, Unauthenticated, Verifier
from project_api.parts import CallerDep, PartsDep
from project_api.web.answers import Json
from project_api.web.errors import Problem, forbidden
from project_api.web.limits import RateLimit

TOKEN_COOKIE = "uca_token"  # noqa: S105 - a name, no secret
CSRF_COOKIE = "XSRF-TOKEN"
CSRF_PATHS = ("/sanctum/csrf-cookie", "/admin/v1/sanctum/csrf-cookie")
GUARDED = ("/admin/v1/", "/tenant/v1/", "/api/v1/", "/broadcasting/")
SIGNING = ("/broadcasting/auth", "/api/v1/broadcasting/auth")
"""Where sockets get their signature: no CSRF header comes with it, and every refusal is a 403."""

router = APIRouter(tags=["session"])


class Guard:
    """ASGI: puts the :class:`Principal` into ``scope["principal"]``, or refuses."""

    def __init__(self, app: ASGIApp, *, verifier: Verifier, tenants: RateLimit) -> None:
        self._app = app
        self._verifier = verifier
        self._tenants = tenants

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(GUARDED) and scope["path"] not in CSRF_PATHS:
            try:
                scope["principal"] = await self._admit(scope)
            except Problem as problem:
                await problem.response()(scope, receive, send)
                return
        await self._app(scope, receive, send)

    async def _admit(self, scope: Scope) -> Principal:
        signing = scope["path"] in SIGNING
        try:
            principal = await authenticate(scope, self._verifier, csrf=not signing)
        except Unauthenticated as refusal:
            if signing:
                raise forbidden(str(refusal)) from None
            raise Problem(401, str(refusal), headers={"WWW-Authenticate": "Bearer"}) from None
        if not principal.is_admin:
            self._tenants.take(principal.tenant_id)
            if scope["path"].startswith("/admin/v1/"):
                raise forbidden("Only administrators may do this.")
        return principal


async def authenticate(scope: Scope, verifier: Verifier, *, csrf: bool = True) -> Principal:
    """The caller, by Bearer or else by cookie. Raises :class:`Unauthenticated`, or a 403 for a forged request."""
    bearer, cookies, echoed = _credentials(scope["headers"])
    if bearer is not None:
        return await verifier.verify(bearer)
    token = cookies.get(TOKEN_COOKIE)
    if token is None:
        raise Unauthenticated("Sign in first: this address needs a token.")
    principal = await verifier.verify(token)
    if csrf and scope["method"] not in ("GET", "HEAD", "OPTIONS"):
        given = cookies.get(CSRF_COOKIE, "")
        if not given or not hmac.compare_digest(given.encode(), echoed):
            raise forbidden("The X-XSRF-TOKEN header must equal the XSRF-TOKEN cookie. Reload the page and try again.")
    return principal


def _credentials(headers: Iterable[tuple[bytes, bytes]]) -> tuple[str | None, dict[str, str], bytes]:
    bearer, cookies, echoed = None, {}, b""
    for name, value in headers:
        if name == b"authorization":
            scheme, _, token = value.decode("latin-1").partition(" ")
            bearer = token.strip() if scheme.lower() == "bearer" else ""
        elif name == b"cookie":
            pairs = (pair.partition("=") for pair in value.decode("latin-1").split(";"))
            cookies.update({key.strip(): content.strip() for key, _, content in pairs})
        elif name == b"x-xsrf-token":
            echoed = value
    return bearer, cookies, echoed


async def csrf_cookie(parts: PartsDep) -> Response:
    """Sets the `XSRF-TOKEN` cookie, whose value changes must bring back in the `X-XSRF-TOKEN` header."""
    response = Response(status_code=204)
    settings = parts.settings
    response.set_cookie(
        CSRF_COOKIE,
        secrets.token_urlsafe(32),
        path="/",
        domain=settings.cookie_domain,
        samesite="lax",
        secure=settings.cookie_secure,
    )
    return response


for _path in CSRF_PATHS:
    router.get(_path, status_code=204, response_class=Response)(csrf_cookie)


class Owner(BaseModel):
    """Whom a token belongs to."""

    id: int
    name: str
    email: str
    role: Role
    tenant_id: int | None


class WhoAmI(BaseModel):
    """Whom the token belongs to."""

    success: Literal[True]
    data: Owner


@router.get("/api/v1/business/auth/user", response_model=WhoAmI)
async def who_am_i(caller: CallerDep) -> Response:
    """Whom the token belongs to."""
    principal = caller.principal
    owner = Owner(
        id=principal.user_id,
        name=principal.name or principal.email,
        email=principal.email,
        role=principal.role,
        tenant_id=principal.tenant_id,
    )
    return Json(WhoAmI(success=True, data=owner))
