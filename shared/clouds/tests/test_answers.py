"""Answers of every shape that clouds are known for."""

from datetime import UTC, datetime

import pytest
from clouds.answers import RETRY_AFTER_DEFAULT, RETRY_AFTER_MAX, Answer, listed, retry_after, sent_at
from clouds.errors import AuthExpired, CloudError, Conflict, Forbidden, Invalid, NotFound


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, Invalid),
        (401, AuthExpired),
        (403, Forbidden),
        (404, NotFound),
        (409, Conflict),
        (422, Invalid),
        (302, Invalid),
    ],
)
def test_a_status_is_an_error_of_ours(status: int, kind: type[CloudError]) -> None:
    """Each status has one meaning, and a redirect is refused."""
    with pytest.raises(kind):
        Answer(status, {}, b"").refuse("do it")


@pytest.mark.parametrize(
    "body",
    [
        b'{"description": "Name in use"}',
        b'{"message": "Name in use"}',
        b'{"error": {"code": 409, "message": "Name in use", "title": "Conflict"}}',
        b"<ErrorResponse><Error><Code>X</Code><Message>Name in use</Message></Error></ErrorResponse>",
    ],
)
def test_the_clouds_own_words_are_found(body: bytes) -> None:
    """In each of the shapes in which clouds put them."""
    with pytest.raises(Conflict, match="Name in use"):
        Answer(409, {}, body).refuse("create")


def test_an_html_page_is_no_reason() -> None:
    """A gateway's 404 page is a NotFound without words."""
    with pytest.raises(NotFound, match=r"the cloud answered 404$"):
        Answer(404, {"content-type": "text/html"}, b"<html><h1>404 Not Found</h1></html>").refuse("find")


@pytest.mark.parametrize(
    ("status", "body", "gone"),
    [
        (404, b'{"error": {"code": 404, "message": "Could not find role", "title": "Not Found"}}', True),
        (404, b"", True),
        (404, b" <html><h1>404 Not Found</h1></html>", False),
        (404, b"<!DOCTYPE html>\n<title>404</title>", False),
        (404, b"404 page not found\n", False),
        (404, b"default backend - 404", False),
        (404, b"<?xml version='1.0'?><Error><Code>NoSuchBucket</Code></Error>", False),
        (404, b"404", False),
        (409, b"{}", False),
    ],
)
def test_gone_is_what_the_cloud_itself_says(status: int, body: bytes, gone: bool) -> None:
    """A removal is done when its object is gone, and not when a gateway does not know the way."""
    answer = Answer(status, {}, body)
    assert answer.is_gone is gone
    if gone:
        assert answer.expect_or_gone("revoke", 204) is answer
    else:
        with pytest.raises(CloudError):
            answer.expect_or_gone("revoke", 204)


@pytest.mark.parametrize("body", [b"", b"<html>", b"[" * 100_000, b"\xff\xfe", b'{"a":'])
def test_what_is_no_json_is_invalid(body: bytes) -> None:
    """Malformed and absurdly nested bodies are bounded failures."""
    with pytest.raises(Invalid):
        Answer(200, {}, body).json()


def test_lists_come_in_two_shapes() -> None:
    """Bare or inside an object; anything else is refused."""
    assert listed([{"id": "1"}], "users") == listed({"users": [{"id": "1"}]}, "users") == [{"id": "1"}]
    odd_shapes: list[object] = [None, {}, {"users": {}}, ["a"], "users"]
    for odd in odd_shapes:
        with pytest.raises(Invalid):
            listed(odd, "users")


@pytest.mark.parametrize("sign", [{"truncated": True}, {"links": {"next": "https://cloud/users?marker=u9"}}])
def test_a_list_cut_short_is_refused(sign: dict[str, object]) -> None:
    """However the cloud says so: who is missing from it must not be taken for gone."""
    assert listed({"users": [], "links": {"next": None, "self": "x"}}, "users") == []
    with pytest.raises(Invalid, match="list_limit"):
        listed({"users": [], **sign}, "users")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("7", 7),
        ("0", 0),
        ("-4", 0),
        ("999999", RETRY_AFTER_MAX),
        ("Wed, 21 Oct 2026 07:28:30 GMT", 30),
        ("Wed, 21 Oct 2026 07:20:00 GMT", 0),
        ("Wed Oct 21 07:28:30 2026", 30),
        ("Mon, 01 Jan 2024 00:00:00 +99999999999999999999", RETRY_AFTER_DEFAULT),
        ("soon", RETRY_AFTER_DEFAULT),
        ("nan", RETRY_AFTER_DEFAULT),
        (None, RETRY_AFTER_DEFAULT),
    ],
)
def test_retry_after_in_seconds_and_as_a_date(value: str | None, seconds: float) -> None:
    """Both forms of RFC 9110, bounded; nonsense counts as not said."""
    assert retry_after(value, datetime(2026, 10, 21, 7, 28, tzinfo=UTC)) == seconds


def test_a_date_counts_from_when_the_cloud_sent_it() -> None:
    """By its own clock, which may be minutes from ours."""
    assert sent_at("Wed, 21 Oct 2026 07:28:00 GMT") == datetime(2026, 10, 21, 7, 28, tzinfo=UTC)
    assert sent_at(None) is sent_at("noon") is None
