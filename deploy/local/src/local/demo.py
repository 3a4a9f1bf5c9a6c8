"""`make demo`: one project from POST to active, shown step by step in the terminal."""

import argparse
import secrets
import time
from datetime import datetime
from typing import Any

import httpx
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

from local.commands import replicas as asked_replicas
from local.stack import Stack

USERS = 25
PATIENCE = 180.0
"""Seconds until a run counts as stuck."""

CLOUD_LATENCY = {"default": 0, "project": 800, "user": 250}
"""Milliseconds that the simulated cloud takes to make a project or a user, so that there is something to watch."""


class DemoError(Exception):
    """The demo did not end with an active project; the message says why."""


class Demo:
    """The demo's way through the API, with what it shows."""

    def __init__(self, values: dict[str, str], console: Console) -> None:
        self._console = console
        self._simulator = httpx.Client(base_url=values["UCA_SIMULATOR_URL"], timeout=10)
        self._api = httpx.Client(
            base_url=f"{values['UCA_API_URL']}/admin/v1",
            headers={"Authorization": f"Bearer {values['UCA_ADMIN_TOKEN']}"},
            timeout=70,
        )

    def run(self, *, fail_user: bool) -> None:
        """Creates a tenant, its users and a project, and watches it; with `fail_user` through a failure and a retry.

        Raises:
            DemoError: the project is not active in the end.
            httpx.HTTPError: the API doesn't answer.
        """
        tenant, emails = self._create_tenant()
        behaviour = {"latency_ms": CLOUD_LATENCY, "fail_emails": emails[:1] if fail_user else []}
        self._behave(behaviour)
        self._console.print(
            "The simulated cloud takes {project} ms to make a project, {user} ms a user.".format_map(CLOUD_LATENCY)
        )
        try:
            identifier = self._create_project(tenant)
            status = self._watch(identifier)
            if fail_user:
                self._show_failure(status, emails[0])
                self._behave({"fail_emails": []})
                self._console.print("The cloud accepts the user again. POST …/retry-provisioning")
                self._post(f"/projects/{identifier}/retry-provisioning", {})
                status = self._watch(identifier)
        finally:
            self._behave({"latency_ms": dict.fromkeys(CLOUD_LATENCY, 0), "fail_emails": []})
        self._show_end(status)

    def _create_tenant(self) -> tuple[int, list[str]]:
        name = f"Demo {secrets.token_hex(3)}"
        tenant = self._post("/tenants", {"name": name})["data"]["id"]
        emails = [f"user-{number:02}@{name.lower().replace(' ', '-')}.example" for number in range(1, USERS + 1)]
        for number, email in enumerate(emails, start=1):
            user = {"name": f"User {number}", "email": email, "role": "member", "tenant_id": tenant}
            self._post("/users", user)
        self._console.print(f"Created tenant [bold]{name}[/] with {USERS} users.")
        return tenant, emails

    def _create_project(self, tenant: int) -> str:
        region = self._get("/regions").json()["data"][0]["code"]
        body = {"name": "Demo project", "region": region, "provider": "zadara", "tenant_id": tenant}
        started = time.perf_counter()
        answer = self._post("/projects", body | {"assignment_scope": "tenant"})
        milliseconds = (time.perf_counter() - started) * 1000
        self._console.print(
            f"POST /admin/v1/projects answered 201 in [bold green]{milliseconds:.0f} ms[/]: "
            f"{answer['identifier']}, status {answer['status']}."
        )
        return str(answer["identifier"])

    def _watch(self, identifier: str) -> dict[str, Any]:
        """Long-polls the status until the run has ended, drawing its progress; returns the last answer."""
        columns = TextColumn("{task.description}"), BarColumn(40), TextColumn("{task.percentage:>3.0f} %")
        deadline, etag = time.monotonic() + PATIENCE, ""
        with Progress(*columns, TimeElapsedColumn(), console=self._console) as progress:
            bar = progress.add_task("Provisioning …", total=100)
            while True:
                answer = self._get(f"/projects/{identifier}/status", {"wait": "5"}, {"If-None-Match": etag})
                if answer.status_code == httpx.codes.OK:
                    etag, status = answer.headers["ETag"], answer.json()
                    words = status["progress"]["message"] or status["status"]
                    progress.update(bar, completed=status["progress"]["percent"], description=words)
                    if status["status"] in {"active", "failed"}:
                        return dict(status)
                if time.monotonic() > deadline:
                    raise DemoError(f"{identifier} has not ended within {PATIENCE:.0f} s; look at: make logs")

    def _show_failure(self, status: dict[str, Any], email: str) -> None:
        if status["status"] != "failed":
            raise DemoError(f"The cloud refuses {email}, yet the project is {status['status']}.")
        failure = status["failure"]
        user = (failure.get("user") or {}).get("email", "-")
        self._console.print(
            f"[bold red]failed[/] at step {failure['step']}, user {user}, code {failure['code']}: {status['error']}"
        )

    def _show_end(self, status: dict[str, Any]) -> None:
        if status["status"] != "active":
            raise DemoError(f"The project is {status['status']}: {status['error']}")
        data = status["data"]
        begin = _time(data["provisioning_started_at"])
        for step in data["provisioning_progress"]:
            seconds = (_time(step["updated_at"]) - begin).total_seconds()
            self._console.print(f"  {step['label']:<24} {step['status']:<10} after {seconds:5.2f} s")
        total = (_time(data["provisioning_completed_at"]) - begin).total_seconds()
        users = len(status["project"]["users"]["local"])
        self._console.print(f"[bold green]active[/] after {total:.2f} s: {users} users (the tenant's and the admins).")

    def _behave(self, behaviour: dict[str, Any]) -> None:
        self._simulator.put("/_sim/behaviour", json=behaviour).raise_for_status()

    def _get(
        self, path: str, parameters: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return _checked(self._api.get(path, params=parameters, headers=headers))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(_checked(self._api.post(path, json=body)).json())


def run(stack: Stack, arguments: argparse.Namespace) -> int:
    """Brings the stack up, then plays the demo; 0 only when the project is active."""
    console = Console()
    values = stack.up(asked_replicas())
    try:
        Demo(values, console).run(fail_user=arguments.fail_user)
    except (DemoError, httpx.HTTPError) as error:
        console.print(f"[bold red]Not active:[/] {escape(str(error))}")
        return 1
    console.print(f"API docs: {values['UCA_API_URL']}/docs")
    console.print(f"Console:  {values['UCA_CONSOLE_URL']}")
    console.print("Everything still runs; end it with: make down")
    return 0


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        request = response.request
        raise DemoError(f"{request.method} {request.url.path}: {response.status_code} {response.text[:500]}")
    return response


def _time(words: str) -> datetime:
    return datetime.fromisoformat(words)
