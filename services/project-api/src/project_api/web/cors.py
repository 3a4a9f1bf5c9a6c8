"""Pages of other origins: those that are listed may call the API from a browser, with the cookie or a token."""

from collections.abc import Sequence

from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
ASKED = (
    "Authorization",
    "Content-Type",
    "Idempotency-Key",
    "If-Match",
    "If-None-Match",
    "Prefer",
    "X-XSRF-TOKEN",
    "X-Requested-With",
    "X-Socket-Id",
    "traceparent",
)
"""Headers that a page may send; axios sends X-Requested-With, and Echo has it send X-Socket-Id."""

ANSWERED = ("ETag", "Location", "Retry-After", "Preference-Applied", "Link", "X-Request-Id")
"""Headers that a page may read, beside those that every page may."""

PREFLIGHT_SECONDS = 600


def allowing(app: ASGIApp, origins: Sequence[str]) -> ASGIApp:
    """``app`` for pages of these origins too; as it is where there are none.

    It stands outside of every guard, for a preflight comes without a token, and a page must be able to read a refusal.
    """
    if not origins:
        return app
    return CORSMiddleware(
        app,
        allow_origins=origins,
        allow_credentials=True,
        allow_methods=METHODS,
        allow_headers=ASKED,
        expose_headers=ANSWERED,
        max_age=PREFLIGHT_SECONDS,
    )
