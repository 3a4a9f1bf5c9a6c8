"""The command line on the running stack, as a script uses it: by exit codes and JSON."""

import asyncio
import json
import os
import secrets
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest

UCA = str(Path(sys.executable).with_name("uca"))


class Done(NamedTuple):
    """How it ended."""

    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.out.splitlines()]


Uca = Callable[..., Awaitable[Done]]


@pytest.fixture(scope="module")
def uca(environment: dict[str, str]) -> Uca:
    """`await uca("project", "list")`."""

    async def run(*words: str) -> Done:
        given = {name: environment[name] for name in ("UCA_API_URL", "UCA_ADMIN_TOKEN")}
        process = await asyncio.create_subprocess_exec(
            UCA, *words, env={"PATH": os.defpath, "COLUMNS": "200", **given}, stdout=-1, stderr=-1
        )
        out, err = await process.communicate()
        assert process.returncode is not None
        return Done(process.returncode, out.decode(), err.decode())

    return run


@pytest.fixture
async def simulator(environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    """The simulated cloud; it refuses nobody at the end."""
    async with httpx.AsyncClient(base_url=environment["UCA_SIMULATOR_URL"]) as client:
        yield client
        await client.put("/_sim/behaviour", json={"fail_emails": []})


def fresh() -> str:
    return f"Typed {secrets.token_hex(4)}"


async def test_a_project_is_created_watched_and_deleted(uca: Uca) -> None:
    """Each step ends with 0: create --wait shows its way to active, verify agrees, delete --wait sees it gone."""
    name = fresh()
    made = await uca("project", "create", name, "--region", "region-1", "--wait", "--json")
    assert made.code == 0, made
    assert made.lines[-1]["status"] == "active"
    percents = [status["progress"]["percent"] for status in made.lines]
    assert percents == sorted(percents)
    identifier = made.lines[-1]["identifier"]
    listed = await uca("project", "list", "--search", name, "--json")
    assert [project["identifier"] for project in listed.lines[0]["data"]] == [identifier]
    assert (await uca("project", "verify", identifier)).code == 0
    assert "active" in (await uca("project", "show", identifier)).out
    gone = await uca("project", "delete", identifier, "--yes", "--wait")
    assert (gone.code, "deleted" in gone.out) == (0, True), gone
    assert (await uca("project", "show", identifier)).code == 1


async def test_a_failed_run_is_1_and_its_retry_0(uca: Uca, simulator: httpx.AsyncClient) -> None:
    """The exit code tells a script that the run failed; the reason is in words, and a retry mends it."""
    await simulator.put("/_sim/behaviour", json={"fail_emails": ["alan@uca.example"]})
    failed = await uca("project", "create", fresh(), "--region", "region-1", "--wait", "--json")
    assert failed.code == 1
    assert failed.lines[-1]["failure"]["user"]["email"] == "alan@uca.example"
    identifier = failed.lines[-1]["identifier"]
    assert "alan@uca.example" in (await uca("project", "watch", identifier)).out
    await simulator.put("/_sim/behaviour", json={"fail_emails": []})
    assert (await uca("project", "retry", identifier, "--wait")).code == 0


async def test_suspend_and_resume(uca: Uca) -> None:
    """Both are watched to their ends; what the status forbids is a 1 with the API's own sentence."""
    made = await uca("project", "create", fresh(), "--region", "region-1", "--wait", "--json")
    identifier = made.lines[-1]["identifier"]
    suspended = await uca("project", "suspend", identifier, "--wait", "--json")
    assert (suspended.code, suspended.lines[-1]["status"]) == (0, "suspended")
    refused = await uca("project", "retry", identifier)
    assert (refused.code, "suspended" in refused.err) == (1, True)
    assert (await uca("project", "resume", identifier, "--wait")).code == 0


async def test_members_are_changed_and_previewed(uca: Uca) -> None:
    """The preview says why somebody is in; a member who was chosen is synced, and reads their credential once."""
    made = await uca("project", "create", fresh(), "--region", "region-1", "--wait", "--json")
    identifier = made.lines[-1]["identifier"]
    users = (await uca("users", "list", "--role", "tenant_admin", "--json")).lines[0]["data"]
    user = str(users[0]["id"])
    assert (await uca("project", "members", identifier, user, "--wait")).code == 0
    found = (await uca("project", "preview", identifier, "--json")).lines[0]
    assert {each["id"]: each["reasons"] for each in found["participants"]}[int(user)] == ["explicit"]
    assert "explicit" in (await uca("project", "preview", identifier)).out
    assert (await uca("project", "sync", identifier, user, "--wait")).code == 0
    read = await uca("project", "credential", identifier, user)
    assert (read.code, "secret key" in read.out) == (0, True)
    again = await uca("project", "credential", identifier, user)
    assert (again.code, "read already" in again.err) == (1, True)
    assert (await uca("project", "members", identifier, "--wait")).code == 0
    assert (await uca("project", "provision", identifier, "--wait")).code == 0
    told = await uca("project", "events", identifier, "--json")
    assert "LinkEnsured" in {each["type"] for each in told.lines[0]["data"]}


async def test_directory_and_dead_letters_are_listed(uca: Uca) -> None:
    """Users, tenants and dead letters come as tables, or as the API's JSON."""
    assert "ada@uca.example" in (await uca("users", "list", "--role", "admin")).out
    assert (await uca("tenants", "list", "--json")).lines[0]["data"]
    letters = await uca("dead-letters", "list", "--json", "--state", "all")
    assert letters.lines[0]["success"]
    assert (await uca("dead-letters", "replay", "--project", "NOSUCHPROJECT")).code == 0
