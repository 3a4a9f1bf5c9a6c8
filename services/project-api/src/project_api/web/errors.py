"""Every error that a client sees: one body for both worlds, RFC 9457's members and the frontend's."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from typing import Any

import structlog
from backbone.away import DatabaseUnavailable
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.routing import iter_route_contexts
from starlette.exceptions import HTTPException
from starlette.routing import compile_path

from project_api.web.answers import Json

log = structlog.get_logger()


class Problem(HTTPException):
    """A refusal in words for a person. ``errors`` maps a field to what is wrong with it."""

    def __init__(
        self,
        status: int,
        message: str,
        *,
        errors: Mapping[str, Sequence[str]] | None = None,
        headers: Mapping[str, str] | None = None,
        kind: str = "about:blank",
    ) -> None:
        super().__init__(status, message)
        self.headers: dict[str, str] = dict(headers or {})
        self.status = status
        self.message = message
        self.errors = errors
        self.kind = kind

    def body(self) -> dict[str, Any]:
        """The JSON members."""
        members = {
            "type": self.kind,
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "detail": self.message,
            "success": False,
            "message": self.message,
        }
        return members if self.errors is None else {**members, "errors": self.errors}

    def response(self) -> Response:
        """The answer, ready to be sent."""
        return Json(self.body(), self.status, self.headers)


def invalid(field: str, words: str) -> Problem:
    """A 422 about one field."""
    return Problem(422, words, errors={field: [words]})


def not_found(what: str = "Not found.") -> Problem:
    """A 404, which also hides what belongs to somebody else."""
    return Problem(404, what)


def forbidden(words: str = "You may not do this.") -> Problem:
    """A 403."""
    return Problem(403, words)


def unavailable(words: str, *, retry_after: int = 2) -> Problem:
    """A 503 that passes; ``retry_after`` is seconds."""
    return Problem(503, words, headers={"Retry-After": str(retry_after)})


def install(app: FastAPI) -> None:
    """Makes every error of ``app`` answer in this form."""
    app.add_exception_handler(Problem, _problem)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(RequestValidationError, _validation)
    app.add_exception_handler(DatabaseUnavailable, _unavailable)
    app.add_exception_handler(Exception, _unexpected)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, Problem)  # noqa: S101 - what it was registered for
    return error.response()


_WORDS = {
    404: "There is nothing at this address.",
    405: "This address does not answer that method.",
}


async def _http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - what it was registered for
    words = _WORDS.get(error.status_code, str(error.detail))
    headers = {"Allow": ", ".join(_methods(request))} if error.status_code == 405 else error.headers
    return Problem(error.status_code, words, headers=headers).response()


def _methods(request: Request) -> list[str]:
    """What the address answers, by all routes of its plainest path; the framework names those of the first alone."""
    routes = [route for route in iter_route_contexts(request.app.routes) if route.path]
    path = request.scope["path"]
    matching = (route.path or "" for route in routes if compile_path(route.path or "")[0].match(path))
    own = min(matching, key=lambda each: each.count("{"), default=None)
    return sorted({method for route in routes if route.path == own for method in route.methods or ()})


async def _validation(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - what it was registered for
    fields: dict[str, list[str]] = {}
    for each in error.errors():
        field = "body" if each["type"] == "json_invalid" else field_of(each["loc"][1:])
        fields.setdefault(field, []).append(in_words(field, each))
    return Problem(422, next(iter(fields.values()))[0], errors=fields).response()


_SENTENCES = {
    "missing": "The {field} field is required.",
    "extra_forbidden": "The {field} field is not allowed.",
    "string_too_short": "The {field} field must have at least {min_length} characters.",
    "string_too_long": "The {field} field must have at most {max_length} characters.",
    "too_short": "The {field} field is too short; at least {min_length}.",
    "too_long": "The {field} field is too long; at most {max_length}.",
    "literal_error": "The {field} field must be {expected}.",
    "enum": "The {field} field must be {expected}.",
    "json_invalid": "The body is not valid JSON.",
    "value_error": "{error}",
}


def field_of(location: Sequence[int | str]) -> str:
    """A field's path as a client knows it: without the types that were tried on the way."""
    return ".".join(str(part) for part in location if not (isinstance(part, str) and "[" in part)) or "body"


def in_words(field: str, error: Mapping[str, Any]) -> str:
    """One of pydantic's errors as a sentence."""
    context = error.get("ctx", {})
    if error["type"] in ("string_too_short", "too_short") and context.get("min_length") == 1:
        return f"The {field} field must not be empty."
    words = error["msg"][:1].lower() + error["msg"][1:]
    return _SENTENCES.get(error["type"], "The {field} field is wrong: {words}.").format(
        field=field, words=words, **context
    )


async def _unavailable(request: Request, error: Exception) -> Response:
    return away(request.url.path, error)


def away(path: str, error: Exception) -> Response:
    """The 503 of a database that is away, told in the log."""
    log.warning("request.unavailable", path=path, error=str(error))
    return unavailable("The service cannot reach its database right now. Try again shortly.").response()


async def _unexpected(request: Request, error: Exception) -> Response:
    return unexpected(request.url.path, error)


def unexpected(path: str, error: Exception) -> Response:
    """The 500 of a mistake of ours, told in the log."""
    log.error("request.failed", path=path, exc_info=error)
    return Problem(500, "Something went wrong on our side. It has been recorded.").response()
