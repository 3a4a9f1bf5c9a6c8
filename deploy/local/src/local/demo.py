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

from local import keystone, seed
from local.commands import replicas as asked_replicas
from local.demo_clouds import Cloud, DemoError, RealKeystone, SimulatedCloud
from local.stack import Stack

CLOUDS = SimulatedCloud.provider, RealKeystone.provider

USERS = 25
PATIENCE = 180.0
"""Seconds until a run counts as stuck."""


class Demo:
    """The demo's way through the API, with what it shows."""

    def __init__(self, values: dict[str, str], cloud: Cloud, console: Console) -> None:
        self._console = console
        self._cloud = cloud
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
        self._console.print(self._cloud.prepare())
        try:
            if fail_user:
                self._cloud.refuse(emails[0])
            identifier = self._create_project(tenant)
            status = self._watch(identifier)
            if fail_user:
                self._show_failure(status, emails[0])
                self._cloud.accept(emails[0])
                self._console.print("The cloud accepts the user again. POST …/retry-provisioning")
                self._post(f"/projects/{identifier}/retry-provisioning", {})
                status = self._watch(identifier)
        finally:
            self._cloud.leave()
        self._show_end(status)
        self._console.print(self._cloud.look(identifier, status["project"]["users"]["local"]))

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
        where = {"region": self._cloud.region, "provider": self._cloud.provider}
        body = {"name": "Demo project", **where, "tenant_id": tenant}
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

    def _get(
        self, path: str, parameters: dict[str, str] | None = None, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        return _checked(self._api.get(path, params=parameters, headers=headers))

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return dict(_checked(self._api.post(path, json=body)).json())


def run(stack: Stack, arguments: argparse.Namespace) -> int:
    """Brings the stack up, then plays the demo; 0 only when the project is active."""
    console = Console()
    if arguments.provider == RealKeystone.provider:
        keystone.want(stack.directory)
        console.print("A real Keystone joins the stack; installing it takes half a minute the first time.")
    values = stack.up(asked_replicas())
    try:
        Demo(values, _cloud(stack, arguments.provider, values), console).run(fail_user=arguments.fail_user)
    except (DemoError, RuntimeError, httpx.HTTPError) as error:
        console.print(f"[bold red]Not active:[/] {escape(str(error))}")
        return 1
    console.print(f"API docs: {values['UCA_API_URL']}/docs")
    api = stack.api_environment(stack.services(stack.infrastructure(), 1))
    address = seed.console_address(api, values["UCA_CONSOLE_URL"], seed.plant(api).admins[0])
    console.print(f"Console:  {address}", soft_wrap=True)
    console.print("          signs you in once, within 15 minutes; another such address: make console")
    console.print("Everything still runs; end it with: make down")
    return 0


def _cloud(stack: Stack, provider: str, values: dict[str, str]) -> Cloud:
    running = stack.services(stack.infrastructure(), 1).keystone
    if provider == RealKeystone.provider and running:
        return RealKeystone(running)
    return SimulatedCloud(values["UCA_SIMULATOR_URL"])


def _checked(response: httpx.Response) -> httpx.Response:
    if response.is_error:
        request = response.request
        raise DemoError(f"{request.method} {request.url.path}: {response.status_code} {response.text[:500]}")
    return response


def _time(words: str) -> datetime:
    return datetime.fromisoformat(words)
