"""The clouds that the demo can be played on: the simulated zCompute, and a real Keystone."""

from collections.abc import Iterable, Mapping
from typing import Any, Protocol

import httpx
from clouds import keystone_look
from clouds.testing import MOST_CREDENTIALS, Keystone

from local import keystone, services

LATENCY = {"default": 0, "project": 800, "user": 250}
"""Milliseconds that the simulated cloud takes to make a project or a user, so that there is something to watch."""


class DemoError(Exception):
    """The demo did not end with an active project; the message says why."""


class Cloud(Protocol):
    """What the demo does to a cloud, and how it looks at it in the end."""

    provider: str
    region: str

    def prepare(self) -> str:
        """Makes it ready to be watched; words about it."""
        ...

    def refuse(self, email: str) -> None:
        """From now on it doesn't let this user in."""
        ...

    def accept(self, email: str) -> None: ...

    def leave(self) -> None:
        """Leaves it as it was."""
        ...

    def look(self, identifier: str, people: Iterable[Mapping[str, Any]]) -> str:
        """What is there of the project, not by our records; raises DemoError where it isn't as it should be."""
        ...


class SimulatedCloud:
    """The cloud simulator, by its own interface."""

    provider = "zadara"
    region = next(iter(services.REGIONS))

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=10)

    def prepare(self) -> str:
        self._behave(latency_ms=LATENCY, fail_emails=[])
        return "The simulated cloud takes {project} ms to make a project, {user} ms a user.".format_map(LATENCY)

    def refuse(self, email: str) -> None:
        self._behave(fail_emails=[email])

    def accept(self, email: str) -> None:
        self._behave(fail_emails=[])

    def leave(self) -> None:
        self._behave(latency_ms=dict.fromkeys(LATENCY, 0), fail_emails=[])

    def look(self, identifier: str, people: Iterable[Mapping[str, Any]]) -> str:
        stats = self._client.get("/_sim/stats").raise_for_status().json()
        if stats["duplicate_effects"]:
            raise DemoError(f"The simulator counts {stats['duplicate_effects']} duplicate effects.")
        return f"The simulator has answered {stats['calls']['total']} calls so far; duplicate effects: 0."

    def _behave(self, **behaviour: Any) -> None:
        self._client.put("/_sim/behaviour", json=behaviour).raise_for_status()


class RealKeystone:
    """A Keystone that nobody of us wrote, looked at through OpenStack's own client library."""

    provider = "keystone"
    region = keystone.REGION

    def __init__(self, running: Keystone) -> None:
        self._keystone = running

    def prepare(self) -> str:
        return f"A real Keystone runs at {self._keystone.url}."

    def refuse(self, email: str) -> None:
        """By its own limit of credentials, which somebody else has used up for this user."""
        keystone_look.fill(self._keystone, email, MOST_CREDENTIALS)

    def accept(self, email: str) -> None:
        keystone_look.clear(self._keystone, email)

    def leave(self) -> None:
        """Nothing of it was changed."""

    def look(self, identifier: str, people: Iterable[Mapping[str, Any]]) -> str:
        expected = sorted(person["email"].lower() for person in people)
        found = keystone_look.look(self._keystone, identifier)
        if len(found) != 1 or not found[0]["enabled"]:
            raise DemoError(f"Keystone's own client finds {len(found)} projects that are ours and enabled, not one.")
        roles, keys = found[0]["roles"], found[0]["keys"]
        if [name for name, role in roles if role == "member"] != expected or len(roles) != len(expected):
            raise DemoError(f"Keystone's own client finds these roles, for {len(expected)} users: {roles}")
        if [name for name, _ in keys] != expected:
            raise DemoError(f"Keystone's own client finds {len(keys)} keys, for {len(expected)} users.")
        return (
            f"python-keystoneclient sees project {found[0]['name']}, enabled; {len(roles)} users with the role member,"
            f" {len(keys)} access keys, one for each of them and for nobody else."
        )
