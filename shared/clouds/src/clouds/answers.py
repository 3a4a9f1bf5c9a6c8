"""A cloud's answers: untrusted, of several shapes, and turned into values or errors of ours."""

from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from math import isnan
from re import search
from typing import Any, NamedTuple, NoReturn

from pydantic_core import from_json

from clouds.errors import AuthExpired, CloudError, Conflict, Forbidden, Invalid, NotFound

RETRY_AFTER_DEFAULT = 5.0
"""Seconds to wait after a 429 that does not say how long."""
RETRY_AFTER_MAX = 3600.0

_REFUSALS: Mapping[int, type[CloudError]] = {401: AuthExpired, 403: Forbidden, 404: NotFound, 409: Conflict}


class Answer(NamedTuple):
    """A whole answer below 500, its body no longer than allowed. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises Invalid for what is no JSON, deep nesting and HTML from a gateway included."""
        try:
            return from_json(self.body)
        except ValueError:
            raise Invalid(f"The cloud answered {self.status} with a body that is no JSON.") from None

    def refuse(self, what: str) -> NoReturn:
        """Raises what the status means; ``what`` says what was being done."""
        kind = _REFUSALS.get(self.status, Invalid)
        words = "a redirect, which is not followed" if 300 <= self.status < 400 else self._words()
        raise kind(f"{what}: the cloud answered {self.status}{f': {words}' if words else ''}")

    def expect(self, what: str, *statuses: int) -> "Answer":
        """Itself, where the status is one of these; else raises as ``refuse`` does."""
        if self.status not in statuses:
            self.refuse(what)
        return self

    @property
    def is_gone(self) -> bool:
        """The cloud itself says so of the object, with an empty body or a JSON object. A gateway's page says it of an
        address: access whose removal was answered with one may still be there.
        """
        try:
            return self.status == 404 and (not self.body or isinstance(from_json(self.body), dict))
        except ValueError:
            return False

    def expect_or_gone(self, what: str, *statuses: int) -> "Answer":
        """Of a removal: as ``expect``, and what is gone already is as well."""
        return self if self.is_gone else self.expect(what, *statuses)

    def _words(self) -> str:
        """The cloud's own words, from ``{description}``, ``{message}``, ``{error: {message}}``, or AWS's XML."""
        if found := search(rb"<Message>([^<]{0,500})</Message>", self.body[:4096]):
            return found[1].decode("utf-8", "replace")
        try:
            document = from_json(self.body)
        except ValueError:
            return ""
        if isinstance(document, dict) and isinstance(document.get("error"), dict):
            document = document["error"]
        if not isinstance(document, dict):
            return ""
        return next((document[key] for key in ("description", "message") if isinstance(document.get(key), str)), "")


def listed(document: Any, collection: str) -> list[dict[str, Any]]:
    """The objects of a list that comes bare or as ``{collection: [...]}``. Raises Invalid for anything else, and for
    a list that the cloud has cut: who is missing from it must not be taken for gone.
    """
    items, is_cut = cut_list(document, collection)
    if is_cut:
        raise Invalid(f"The cloud cuts its list of {collection} short; raise its list_limit.")
    return items


def cut_list(document: Any, collection: str) -> tuple[list[dict[str, Any]], bool]:
    """The objects, and whether the cloud says that there are more. Raises Invalid for an unknown shape."""
    is_cut = False
    if isinstance(document, dict):
        links = document.get("links")
        is_cut = bool(document.get("truncated") or (isinstance(links, dict) and links.get("next")))
        document = document.get(collection)
    if not isinstance(document, list) or not all(isinstance(item, dict) for item in document):
        raise Invalid(f"The cloud's list of {collection} has an unknown shape.")
    return document, is_cut


def text(item: Mapping[str, Any], field: str) -> str:
    """A field that must be text. Raises Invalid."""
    value = item.get(field)
    if not isinstance(value, str) or not value:
        raise Invalid(f"The cloud's answer has no {field}.")
    return value


def sent_at(value: str | None) -> datetime | None:
    """When the cloud sent its answer, by its own clock (``Date``), from which its dates are to be counted."""
    try:
        at = parsedate_to_datetime(value or "")
    except (ValueError, OverflowError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def retry_after(value: str | None, now: datetime | None = None) -> float:
    """Seconds from a ``Retry-After`` in seconds or as a date (RFC 9110); never negative, at most an hour."""
    if not value:
        return RETRY_AFTER_DEFAULT
    try:
        seconds = float(value)
    except ValueError:
        try:
            at = parsedate_to_datetime(value)
            at = at if at.tzinfo else at.replace(tzinfo=UTC)
        except (ValueError, OverflowError):
            return RETRY_AFTER_DEFAULT
        seconds = (at - (now or datetime.now(UTC))).total_seconds()
    return RETRY_AFTER_DEFAULT if isnan(seconds) else min(max(seconds, 0.0), RETRY_AFTER_MAX)
