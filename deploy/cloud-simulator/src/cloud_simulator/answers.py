"""The shapes that answers come in; the real cloud is not of one mind, and a client must cope with each."""

import json
from http import HTTPStatus
from typing import Any, NamedTuple

from cloud_simulator.errors import Refusal

_GATEWAY_STATUSES = (502, 503, 504)


class Answer(NamedTuple):
    """A whole HTTP answer."""

    status: int
    body: bytes = b""
    content_type: bytes = b"application/json"
    headers: tuple[tuple[bytes, bytes], ...] = ()


NO_CONTENT = Answer(204)


def json_answer(status: int, value: Any, headers: tuple[tuple[bytes, bytes], ...] = ()) -> Answer:
    """Any JSON value."""
    return Answer(status, json.dumps(value).encode(), headers=headers)


def gateway_page(status: int) -> Answer:
    """The HTML that a gateway in front of the API answers, where a client expects JSON."""
    title = f"{status} {HTTPStatus(status).phrase}"
    page = f"<html><head><title>{title}</title></head><body><center><h1>{title}</h1></center></body></html>"
    return Answer(status, page.encode(), b"text/html")


def error_answer(error: Refusal) -> Answer:
    """`{description}` for 400, Keystone's `{error}` for 401 and 403, `{message}` for the others."""
    if error.status == 400:
        return json_answer(400, {"description": error.message})
    if error.status in (401, 403):
        return json_answer(error.status, _keystone_error(error.status, error.message))
    return json_answer(error.status, {"message": error.message})


def fault_answer(status: int) -> Answer:
    """An error without a cause: a page where a gateway would speak, Keystone's shape otherwise."""
    if status in _GATEWAY_STATUSES:
        return gateway_page(status)
    return json_answer(status, _keystone_error(status, "An unexpected error was asked for."))


def rate_limited_answer(retry_after_s: int) -> Answer:
    """429 with `Retry-After` in seconds."""
    headers = ((b"retry-after", str(retry_after_s).encode()),)
    return json_answer(429, {"message": "Too many requests."}, headers)


def _keystone_error(status: int, message: str) -> dict[str, Any]:
    try:
        title = HTTPStatus(status).phrase
    except ValueError:
        title = "Error"  # a status that was asked for need not be a registered one
    return {"error": {"code": status, "message": message, "title": title}}
