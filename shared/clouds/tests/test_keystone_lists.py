"""Lists in pages, on a Keystone that is told what to answer: the real one is in test_large_keystone.py."""

import json
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from clouds.answers import Answer
from clouds.errors import Invalid, Transient
from clouds.keystone_lists import KeystoneLists

Answering = Callable[[Mapping[str, list[str]]], tuple[int, Any]]


class Told:
    """The part of a session that lists use."""

    def __init__(self, answering: Answering) -> None:
        self._answering = answering

    async def call(self, operation: str, method: str, path: str) -> Answer:
        status, document = self._answering(parse_qs(urlsplit(path).query))
        return Answer(status, {}, json.dumps(document).encode())


def lists(answering: Answering) -> KeystoneLists:
    return KeystoneLists(Told(answering), "/v3")  # type: ignore[arg-type] # the part that is used


def page(*ids: str, more: bool) -> tuple[int, Any]:
    return 200, {"users": [{"id": each} for each in ids], "truncated": more}


async def test_pages_are_put_together() -> None:
    """By the marker of the last; a full last page is followed by an empty one."""
    answers = {None: page("a", "b", more=True), "b": page("c", "d", more=True), "d": page(more=False)}
    told = lists(lambda query: answers[query.get("marker", [None])[0]])
    assert [item["id"] for item in await told.pages("users", domain_id="x")] == ["a", "b", "c", "d"]


async def test_a_keystone_without_pages_that_cuts_is_refused() -> None:
    """An older one with a list_limit sends the same again."""
    with pytest.raises(Invalid, match="list_limit"):
        await lists(lambda _: page("a", "b", more=True)).pages("users")


async def test_a_marker_that_was_deleted_is_another_try() -> None:
    """The whole list is read again."""
    with pytest.raises(Transient, match="changed while it was read"):
        await lists(lambda query: (404, {}) if "marker" in query else page("a", more=True)).pages("users")
