"""Plain polls and creates, which go past the framework and are answered as by it."""

import json
from collections.abc import Sequence
from typing import Any

import pytest
from backbone.away import DatabaseUnavailable
from contracts.status import Status
from hypothesis import example, given
from hypothesis import strategies as st
from project_api.fast_path import FastPath
from project_api.requests import ProjectBody
from project_api.testing import World
from pydantic import ValidationError
from starlette.types import Message, Receive, Scope, Send

CREATES = "/admin/v1/projects"
DESCRIBED = f"{CREATES}?by=route"
"""Answered by the described route, for it has a query."""


async def test_an_unchanged_poll_is_one_statement_past_the_framework(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """For an admin and for a tenant's member: a 304 with the headers that a poller needs."""
    tenant = await world.tenant()
    identifier = await world.create(tenant, user_ids=[tenant.members[0]])
    for prefix, headers in (
        ("/admin/v1/projects", world.admin),
        ("/tenant/v1/admin/projects", world.tenant_admin(tenant)),
        ("/api/v1/business/projects", world.member(tenant)),
    ):
        path = f"{prefix}/{identifier}/status"
        tag = (await world.client.get(path, headers=headers)).headers["etag"]
        with world.statements() as seen, monkeypatch.context() as patched:
            patched.setattr("fastapi.routing.solve_dependencies", None)
            answer = await world.client.get(path, headers={**headers, "If-None-Match": tag})
        assert (answer.status_code, answer.content, len(seen)) == (304, b"", 1)
        assert (answer.headers["etag"], answer.headers["retry-after"]) == (tag, "2")


async def test_a_changed_poll_is_answered_as_by_the_described_route(world: World) -> None:
    """The same body, whichever way it was asked for."""
    identifier = await world.create()
    tag = (await world.get(f"/{identifier}/status")).headers["etag"]
    await world.finish(identifier, Status.ACTIVE)
    described = await world.get(f"/{identifier}/status?wait=1")
    first = await world.get(f"/{identifier}/status")
    polled = await world.get(f"/{identifier}/status", if_none_match=tag)
    assert (polled.status_code, polled.json()) == (200, described.json())
    assert first.json() == described.json()


async def test_a_poll_is_refused_as_any_other(world: World) -> None:
    """Somebody else's project is a 404, no token a 401, an identifier that cannot be one a 422."""
    identifier = await world.create(await world.tenant())
    stranger = world.tenant_admin(await world.tenant())
    known = {"If-None-Match": '"1.1.0.0.w"'}
    for prefix, headers, name, status in (
        ("/tenant/v1/admin/projects", stranger, identifier, 404),
        ("/admin/v1/projects", {}, identifier, 401),
        ("/admin/v1/projects", stranger, identifier, 403),
        ("/admin/v1/projects", world.admin, "F" * 65, 422),
    ):
        answer = await world.client.get(f"{prefix}/{name}/status", headers={**headers, **known})
        assert (answer.status_code, answer.json()["success"]) == (status, False)


async def test_polls_count_under_their_route(world: World) -> None:
    """In the metrics both ways are one."""
    identifier = await world.create()
    await world.get(f"/{identifier}/status", if_none_match='"other"')
    text = (await world.client.get("/metrics")).text
    assert 'uca_http_requests_total{method="GET",route="/admin/v1/projects/{identifier}/status",status="200"}' in text


async def test_a_create_goes_past_the_framework(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """For every audience that may create, with the headers of a create."""
    tenant = await world.tenant()
    for prefix, headers in (
        ("/admin/v1/projects", world.admin),
        ("/tenant/v1/admin/projects", world.tenant_admin(tenant)),
        ("/api/v1/business/projects", world.tenant_admin(tenant)),
    ):
        body = {"name": prefix, "region": "region-1", "tenant_id": tenant.id}
        with monkeypatch.context() as patched:
            patched.setattr("fastapi.routing.solve_dependencies", None)
            answer = await world.client.post(prefix, json=body, headers=headers)
        assert (answer.status_code, answer.json()["data"]["name"]) == (201, prefix)
        assert answer.headers["location"] == f"{prefix}/{answer.json()['identifier']}"
    text = (await world.client.get("/metrics")).text
    assert 'uca_http_requests_total{method="POST",route="/api/v1/business/projects",status="201"}' in text


async def test_a_create_is_answered_as_by_the_described_route(world: World) -> None:
    """A key that was used on one way is known on the other."""
    body = {"name": "Both ways", "region": "region-1", "metadata": {"a": [1, 2.5, None, "ß"]}}
    headers = {**world.admin, "Idempotency-Key": '"both ways"'}
    plain = await world.client.post(CREATES, json=body, headers=headers)
    described = await world.client.post(DESCRIBED, json=body, headers=headers)
    assert (plain.status_code, plain.content) == (201, described.content)


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b'{"name": "x"}', b'{"name": "x", "region": "region-1", "user_ids": ["a"]}', b"\xff"],
)
async def test_a_wrong_body_is_refused_by_the_described_route(world: World, content: bytes) -> None:
    """Which alone says what is wrong with it."""
    headers = {**world.admin, "Content-Type": "application/json"}
    plain = await world.client.post(CREATES, content=content, headers=headers)
    described = await world.client.post(DESCRIBED, content=content, headers=headers)
    assert (plain.status_code, plain.content) == (described.status_code, described.content)
    assert plain.is_client_error


@pytest.mark.parametrize("body", [{"name": "Nowhere", "region": "none"}, {"name": "", "region": "region-1"}])
async def test_what_cannot_be_is_refused_the_same_way(world: World, body: dict[str, str]) -> None:
    """By what the directory says, and by the form of a field."""
    plain = await world.client.post(CREATES, json=body, headers=world.admin)
    described = await world.client.post(DESCRIBED, json=body, headers=world.admin)
    assert (plain.status_code, plain.content) == (422, described.content)


async def test_only_a_post_creates(world: World) -> None:
    """A body that would be a project is none by another method."""
    body = {"name": "By no post", "region": "region-1"}
    for method in ("PUT", "PATCH", "DELETE", "GET"):
        answer = await world.client.request(method, CREATES, json=body, headers=world.admin)
        assert answer.status_code == (200 if method == "GET" else 405)
    assert not await world.rows("SELECT FROM projects WHERE name = 'By no post'")


@pytest.mark.parametrize("way", [CREATES, DESCRIBED])
async def test_a_create_without_a_database_is_a_503(world: World, monkeypatch: pytest.MonkeyPatch, way: str) -> None:
    """Which says that it passes."""

    async def away() -> None:
        raise DatabaseUnavailable("gone")

    monkeypatch.setattr(world.parts.beforehand, "known", away)
    answer = await world.client.post(way, json={"name": "Away", "region": "region-1"}, headers=world.admin)
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")


class Described:
    """Stands for the routes: keeps what it could read of the request."""

    def __init__(self) -> None:
        self.read: list[Message] = []

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        del scope, send
        while not self.read or self.read[-1].get("more_body"):
            self.read.append(await receive())


def arriving(messages: Sequence[Message]) -> Receive:
    """A request's body that comes in these messages."""
    coming = iter(messages)

    async def receive() -> Message:
        return next(coming)

    return receive


async def unsent(message: Message) -> None:
    """Nothing is to be answered here."""
    pytest.fail(f"answered: {message}")


def piece(body: bytes, *, more: bool) -> Message:
    """A part of a body."""
    return {"type": "http.request", "body": body, "more_body": more}


@pytest.mark.parametrize(
    "messages",
    [
        [piece(b'{"name": "x", "region": "region-1"}', more=True), {"type": "http.disconnect"}],
        [piece(b'{"name": "x",', more=True), piece(b' "region": 1}', more=False)],
    ],
    ids=["gone before its end", "wrong, in pieces"],
)
async def test_what_was_read_of_a_body_is_read_again_by_the_route(world: World, messages: list[Message]) -> None:
    """Nothing is created of it here, least of all of a body whose client has gone before its end."""
    routes = Described()
    scope: Scope = {
        "type": "http",
        "method": "POST",
        "path": CREATES,
        "query_string": b"",
        "headers": [],
        "principal": None,
    }
    await FastPath(routes, parts=world.parts)(scope, arriving(messages), unsent)
    assert routes.read == messages


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
LIKELY: st.SearchStrategy[Any] = st.sampled_from(
    ["region-1", " spaced ", "5", 5, 5.0, True, [7, "8"], [], "tenant", "internal", None, {}]
)
MEMBER = st.tuples(st.sampled_from(list(ProjectBody.model_fields)), LIKELY | JSON)
NEEDED = [("name", "x"), ("region", "region-1")]


def in_text(members: Sequence[tuple[str, Any]], *, ascii_only: bool) -> bytes:
    """An object of these members, of which some may have one name."""
    texts = (f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=ascii_only)}" for name, value in members)
    return f"{{{', '.join(texts)}}}".encode(errors="surrogatepass")


@given(st.lists(MEMBER, max_size=4), st.booleans())
@example([("name", "first"), ("name", "second")], True)
@example([("metadata", {"a": [2**70, 5, 5.0, True, -0.0, 1e300]})], True)
@example([("metadata", "\ud83d\ude00")], True)
def test_a_body_that_is_taken_reads_as_the_framework_reads_it(members: list[tuple[str, Any]], ascii_only: bool) -> None:
    """To the letter, for 5 and 5.0 are equal and yet two bodies to an Idempotency-Key; and which fields were given."""
    content = in_text([*NEEDED, *members], ascii_only=ascii_only)
    try:
        taken = ProjectBody.model_validate_json(content)
    except ValidationError:
        return
    read = ProjectBody.model_validate(json.loads(content))
    assert (repr(taken), taken.model_fields_set) == (repr(read), read.model_fields_set)
