"""Polls that only ask whether anything is new."""

import pytest
from contracts.status import Status
from project_api.testing import World


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
