"""Where the console is: its page and files, and the session that its cookies carry."""

import secrets
import time
from typing import Annotated, Any

from fastapi import APIRouter, FastAPI, Request, Response
from pydantic import Field, model_validator

from project_api import seed
from project_api.auth.guard import CSRF_COOKIE, TOKEN_COOKIE, authenticate
from project_api.auth.tokens import Principal, Unauthenticated
from project_api.console import codes
from project_api.console.files import INDEX, File, read
from project_api.parts import Parts, PartsDep
from project_api.requests import Body, Text
from project_api.web.answers import Json
from project_api.web.errors import Problem, not_found

SESSION_SECONDS = 12 * 3600
USED = "This sign-in link was used already, or is too old. Ask for a new one."

router = APIRouter(prefix="/console", include_in_schema=False)


class Credentials(Body):
    """A one-time code, or a token of one's own."""

    code: Annotated[Text, Field(min_length=1, max_length=255)] | None = None
    token: Annotated[Text, Field(min_length=1, max_length=8192)] | None = None

    @model_validator(mode="after")
    def _one(self) -> "Credentials":
        if (self.code is None) == (self.token is None):
            raise ValueError("Send either code or token.")
        return self


@router.post("/session")
async def sign_in(body: Credentials, parts: PartsDep) -> Response:
    """Exchanges a code, or a token, for the session's cookies. Raises a 401 that says what to do."""
    token = body.token if body.token is not None else await _token_for(parts, body.code or "")
    try:
        principal = await parts.verifier.verify(token)
    except Unauthenticated as refusal:
        raise Problem(401, str(refusal)) from None
    response = _described(parts, principal)
    secure, lasting = parts.settings.cookie_secure, max(0, int(principal.expires_at - time.time()))
    response.set_cookie(TOKEN_COOKIE, token, max_age=lasting, path="/", httponly=True, samesite="lax", secure=secure)
    response.set_cookie(
        CSRF_COOKIE, secrets.token_urlsafe(32), max_age=lasting, path="/", samesite="lax", secure=secure
    )
    return response


@router.get("/session")
async def show_session(request: Request, parts: PartsDep) -> Response:
    """Who is signed in, if anybody, and what the page needs to know."""
    try:
        principal = await authenticate(request.scope, parts.verifier)
    except Unauthenticated:
        principal = None
    return _described(parts, principal)


@router.delete("/session", status_code=204)
async def sign_out(parts: PartsDep) -> Response:
    """Forgets the cookies."""
    response = Response(status_code=204)
    for name in (TOKEN_COOKIE, CSRF_COOKIE):
        response.delete_cookie(name, path="/", samesite="lax", secure=parts.settings.cookie_secure)
    return response


async def _token_for(parts: Parts, code: str) -> str:
    async with parts.database.transaction() as tx:
        user_id = await codes.redeem(tx, code)
        if user_id is None:
            raise Problem(401, USED)
        try:
            return await seed.token(tx, parts.settings, user_id, SESSION_SECONDS)
        except seed.Refused as refusal:
            raise Problem(401, str(refusal)) from None


def _described(parts: Parts, principal: Principal | None) -> Response:
    user: dict[str, Any] | None = None
    if principal is not None:
        user = {
            "id": principal.user_id,
            "name": principal.name or principal.email,
            "email": principal.email,
            "role": principal.role,
            "tenant_id": principal.tenant_id,
        }
    content = {"success": True, "data": {"user": user, "push_key": parts.settings.push_key}}
    return Json(content)


def install(app: FastAPI, parts: Parts) -> None:
    """Adds the console to the application, unless the settings leave it out."""
    if not parts.settings.console:
        return
    found = read()
    app.include_router(router)

    async def page(request: Request) -> Response:
        return found[INDEX].answer(request)

    async def file(name: str, request: Request) -> Response:
        wanted: File | None = found.get(name)
        if wanted is None:
            raise not_found("There is nothing at this address.")
        return wanted.answer(request)

    app.add_api_route("/console", page, include_in_schema=False)
    app.add_api_route("/console/{name}", file, include_in_schema=False)
