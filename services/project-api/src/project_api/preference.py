"""Whether a create's answer waits for the run: ``Prefer: wait=N`` (RFC 7240), or the provider's switches."""

import re
from collections.abc import Mapping
from typing import Any

from contracts.status import Status

from project_api.settings import Settings

_WAIT = re.compile(r"""^wait\s*=\s*(?:"(?P<quoted>\d+)"|(?P<plain>\d+))$""", re.IGNORECASE)

MESSAGES: Mapping[str, str] = {
    Status.ACTIVE: "Project created successfully. Its infrastructure is ready.",
    Status.FAILED: "The project was created, but provisioning its infrastructure failed.",
    Status.SUSPENDED: "Project created successfully. It is suspended by now.",
}
"""What a create that waited says of the status reached; while provisioning goes on it says what every create does."""


def wait(prefer: str | None) -> float | None:
    """The seconds that the client wishes to wait; a preference that isn't understood is ignored, as the RFC wants."""
    for each in (prefer or "").split(","):
        preference = each.split(";")[0].strip()
        if match := _WAIT.match(preference):
            return float(match["quoted"] or match["plain"])
    return None


def patience(settings: Settings, provider: str | None, wished: float | None) -> float | None:
    """The seconds that the answer waits; None where it is given at once."""
    if wished is not None:
        return min(wished, settings.max_wait_seconds)
    is_zadara = provider in (None, "zadara")
    at_once = settings.zadara_sync_queue and settings.zadara_fast_response
    return settings.max_wait_seconds if is_zadara and not at_once else None


def with_status(created: Mapping[str, Any], reached: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of a create, saying how far its run has got by now."""
    data, project = reached["data"], reached["project"]
    shown = {name: data[name] for name in ("status", "progress", "provisioning_progress", "provisioning_completed_at")}
    failed = {name: reached[name] for name in ("error", "failure")}
    return {
        **created,
        "message": MESSAGES.get(reached["status"], created["message"]),
        "status": reached["status"],
        **failed,
        "data": {**created["data"], **shown, "provisioning_status": data["status"], "users": project["users"]["local"]},
    }
