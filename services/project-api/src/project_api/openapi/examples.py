"""Examples for the API's description: one project, from its creation on."""

from typing import Any

IDENTIFIER = "F8Z4RK2M"
BEGUN, LIKELY = "2026-01-01T10:00:00Z", "2026-01-01T10:05:00Z"

TIMES = {
    "provisioning_started_at": BEGUN,
    "provisioning_completed_at": None,
    "estimated_completion": LIKELY,
    "estimate": None,
}
NAMED = {"id": IDENTIFIER, "identifier": IDENTIFIER, "name": "Payments", "status": "provisioning"}
PLACE = {"region": "region-1", "provider": "zadara", "availability_zone": None, "tenant_id": 5}
ACTIONS = {
    "can_provision": False,
    "can_retry": False,
    "can_cancel": True,
    "can_suspend": True,
    "can_resume": False,
    "can_delete": True,
    "can_change_members": False,
    "can_sync_user": False,
}


def progress(percent: int, completed: int, message: str) -> dict[str, Any]:
    """Of a link, one user and the end: three units."""
    return {"percent": percent, "completed": completed, "total": 3, "message": message}


def steps(link: str, users: str, linked_at: str | None = None) -> list[dict[str, Any]]:
    """The steps with these words for the first two."""
    return [
        {"id": "link", "label": "Link cloud project", "status": link, "updated_at": linked_at},
        {"id": "users", "label": "Sync users", "status": users, "updated_at": None},
        {"id": "active", "label": "Project active", "status": "not_started", "updated_at": None},
    ]


def user(status: str) -> dict[str, Any]:
    """The participant."""
    person = {"id": 7, "name": "Eve Example", "email": "eve@uca.example", "role": "member"}
    return {**person, "reasons": ["explicit"], "status": status}


OPENING = {
    "progress": progress(0, 0, "Linking the cloud project…"),
    "provisioning_progress": steps("pending", "not_started"),
}
GOING = progress(33, 1, "Syncing users (0 of 1)…")
LINKED = steps("completed", "pending", "2026-01-01T10:00:03Z")

CREATED: dict[str, Any] = {
    "success": True,
    "message": "Project created successfully. Infrastructure provisioning in progress.",
    "status": "provisioning",
    "identifier": IDENTIFIER,
    "estimated_completion": LIKELY,
    "estimate": None,
    "data": {
        **NAMED,
        **TIMES,
        **PLACE,
        **OPENING,
        "description": "",
        "provisioning_status": "provisioning",
        "run": 1,
        "created_at": BEGUN,
        "updated_at": BEGUN,
        "resources_count": {"instances": 0, "volumes": 0},
        "type": "vpc",
        "assignment_scope": "tenant",
        "client_id": None,
        "user_id": None,
        "user_policies": None,
        "metadata": None,
        "created_by": 1,
        "tenant": {"id": 5, "name": "Acme"},
        "users": [user("not_started")],
    },
}

TOLD = {
    "error": None,
    "failure": None,
    "progress": GOING,
    "waiting": None,
    "overdue": None,
    "run": 1,
    "estimated_completion": LIKELY,
    "estimate": None,
    "actions": ACTIONS,
}
STATUS: dict[str, Any] = {
    "success": True,
    "identifier": IDENTIFIER,
    "status": "provisioning",
    **TOLD,
    "data": {**NAMED, **TOLD, **TIMES, "provisioning_progress": LINKED},
    "project": {
        **NAMED,
        **PLACE,
        **TIMES,
        "provisioning_status": "provisioning",
        "provisioning_progress": LINKED,
        "users": {"local": [user("pending")]},
        "summary": [],
    },
}

ASKED = {
    "identifier": IDENTIFIER,
    "status": "provisioning",
    "run": 2,
    "progress": OPENING["progress"],
    "actions": ACTIONS,
    "estimated_completion": LIKELY,
}
ACCEPTED: dict[str, Any] = {
    "success": True,
    "message": "Provisioning has started again.",
    **ASKED,
    "data": {
        **NAMED,
        **ASKED,
        "provisioning_progress": OPENING["provisioning_progress"],
        "provisioning_started_at": BEGUN,
    },
}

PREVIEW: dict[str, Any] = {
    "success": True,
    "message": "This is what a run would do. Nothing was changed.",
    "data": {
        "participants": [{name: value for name, value in user("").items() if name != "status"}],
        "changes": [
            {"user_id": None, "name": "Payments", "actions": ["create_project"], "calls": 1},
            {
                "user_id": 7,
                "name": "eve@uca.example",
                "actions": ["create_user", "grant_role", "issue_key"],
                "calls": 4,
            },
        ],
        "calls": 8,
        "estimate": {"seconds": 300.0},
    },
}
REPAIRING: dict[str, Any] = {
    **ACCEPTED,
    "message": "What differs on the cloud is being repaired.",
    "project_exists": True,
    "drift": [{"user_id": 7, "name": "eve@uca.example", "actions": ["grant_role"], "calls": 1}],
}
