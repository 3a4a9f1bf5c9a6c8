"""Who did what to the directory and the regions."""

from typing import Any

import pytest
from project_api import providers
from project_api.directory import routes as directory_routes
from project_api.testing import World

NEW: dict[str, Any] = {"name": "On record", "email": "on-record@uca.test", "role": "member"}
ACTIONS: dict[tuple[str, str], tuple[str, Any]] = {
    ("POST", "/admin/v1/tenants"): ("tenant.created", {"name": "On record"}),
    ("PATCH", "/admin/v1/tenants/{tenant_id:int}"): ("tenant.renamed", {"name": "On record, renamed"}),
    ("DELETE", "/admin/v1/tenants/{tenant_id:int}"): ("tenant.removed", None),
    ("POST", "/admin/v1/users"): ("user.created", NEW),
    ("POST", "/admin/v1/users/import"): ("users.imported", [{**NEW, "email": "imported@uca.test"}]),
    ("PATCH", "/admin/v1/users/{user_id:int}"): ("user.changed", {"name": "Renamed"}),
    ("DELETE", "/admin/v1/users/{user_id:int}"): ("user.removed", None),
    ("POST", "/admin/v1/users/{user_id:int}/sync-projects"): ("user.projects_synced", None),
    ("POST", "/admin/v1/providers/{region}/maintenance"): ("maintenance.begun", {"reason": "New racks"}),
    ("DELETE", "/admin/v1/providers/{region}/maintenance"): ("maintenance.ended", None),
}


def test_every_change_is_in_the_table() -> None:
    """The routers themselves say what there is, so a new route cannot be forgotten."""
    routes = [*directory_routes.admin.routes, *providers.router.routes]
    found = {(method, route.path) for route in routes for method in route.methods}  # type: ignore[attr-defined] # each of ours has both
    assert {call for call in found if call[0] != "GET"} == set(ACTIONS)


@pytest.mark.parametrize("call", ACTIONS, ids=" ".join)
async def test_a_change_is_on_record(world: World, call: tuple[str, str]) -> None:
    """What was done, to what, and by whom: one row for each."""
    (method, path), (action, body) = call, ACTIONS[call]
    (made,) = await world.rows(
        "WITH t AS (INSERT INTO tenants (name) VALUES (gen_random_uuid()::text) RETURNING id), u AS (INSERT INTO users"
        " (name, email, role) VALUES ('U', gen_random_uuid() || '@uca.test', 'member') RETURNING id)"
        " SELECT t.id AS tenant, u.id AS user FROM t, u"
    )
    for name, value in (("tenant_id:int", made.tenant), ("user_id:int", made.user), ("region", "region-1")):
        path = path.replace(f"{{{name}}}", str(value))
    last = (await world.rows("SELECT coalesce(max(id), 0) AS id FROM audit"))[0].id
    answer = await world.client.request(method, path, json=body, headers=world.admin)
    assert answer.status_code < 300, answer.text
    rows = await world.rows("SELECT user_id, action, subject FROM audit WHERE id > $1", last)
    assert [(row.user_id, row.action) for row in rows] == [(world.admin_id, action)]
    assert rows[0].subject
