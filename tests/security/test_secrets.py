"""The cloud's secrets are nowhere but sealed in their store, and in the one answer that hands one out."""

import asyncio
import subprocess
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from local import programs

from tests.security.canary import finds, finds_in
from tests.security.ground import MARK, Ground
from tests.security.watcher import Watcher, watcher

PROJECTS = "/admin/v1/projects"
POISON = {"properties": {"content_type": "application/cloudevents+json"}, "routing_key": "link.ensured"}
READS = ("", "/status", "/events", "/verify")
DEATHS = "after_cloud_call=killx1", "before_commit=killx1", "after_commit=killx1"
"""Between issue and store, within the storing transaction, and between store and revoke."""


@pytest.fixture(scope="module")
async def seen(ground: Ground) -> AsyncIterator[Watcher]:
    """Everything that clients were told during the whole run."""
    async with watcher(ground) as one:
        yield one


@pytest.fixture(scope="module")
async def projects(ground: Ground, seen: Watcher) -> list[str]:
    """The identifiers of a project that had no trouble, of one on a bad cloud, and of one with a user who fails."""
    made = []
    async with ground.simulator() as cloud:
        for name, behaviour in (
            ("calm", {}),
            ("stormy", {"error_rate": 0.2, "cut_after_success_rate": 0.2}),
            ("torn", {"error_rate": 0, "cut_after_success_rate": 0, "fail_emails": ["broken@uca.test"]}),
        ):
            user = {"name": name, "email": f"{name}@uca.test", "role": "member"}
            if name == "torn":
                user["email"] = "broken@uca.test"
            (await cloud.put("/_sim/behaviour", json=behaviour)).raise_for_status()
            member = (await seen.ask("POST", "/admin/v1/users", json=user)).json()["data"]["id"]
            body = {"name": f"Canary {name}", "region": "region-1", "user_ids": [member]}
            made.append((await seen.run("POST", PROJECTS, json=body))["identifier"])
        (await cloud.put("/_sim/behaviour", json={"fail_emails": []})).raise_for_status()
    return made


async def sync(seen: Watcher, identifier: str, user: int) -> dict[str, Any]:
    """Has one user done anew, with a new key."""
    return await seen.run("POST", f"{PROJECTS}/{identifier}/users/{user}/sync")


async def keys(ground: Ground) -> dict[str, tuple[str, str]]:
    """The cloud's live keys, each with its project and user there."""
    async with ground.simulator() as cloud:
        objects = (await cloud.get("/_sim/objects")).json()
    return {key["access_key"]: (key["project_id"], key["user_id"]) for key in objects["keys"]}


async def stored(ground: Ground) -> set[str]:
    """The keys whose secret is in the store, sealed."""
    connection = await ground.superuser()
    try:
        rows = await connection.fetch("SELECT key_id FROM user_syncer.member_records WHERE sealed_secret IS NOT NULL")
    finally:
        await connection.close()
    return {row["key_id"] for row in rows}


@pytest.mark.parametrize("death", DEATHS)
async def test_a_kill_during_a_rotation_leaves_no_key_without_its_secret(
    ground: Ground, seen: Watcher, projects: list[str], death: str
) -> None:
    """Whenever user-syncer dies, the user has at most two keys meanwhile, and in the end one, which is stored."""
    identifier = projects[0]
    user = (await seen.get(f"{PROJECTS}/{identifier}"))["data"]["users"][-1]["id"]
    before, deaths = await keys(ground), len(ground.hits())
    most = 0

    async def look() -> None:
        nonlocal most
        while True:
            most = max(most, *Counter((await keys(ground)).values()).values())
            await asyncio.sleep(0.05)

    looking = asyncio.create_task(look())
    ground.arm(death)
    try:
        status = await sync(seen, identifier, user)
    finally:
        ground.arm("")
    assert status["status"] == "active"
    assert ground.hits()[deaths:] == [death.partition("=")[0]]
    async with asyncio.timeout(60):
        while (live := await keys(ground)).keys() != await stored(ground):  # noqa: ASYNC110 - another process's doing
            await asyncio.sleep(0.2)
    looking.cancel()
    await asyncio.wait([looking])
    assert looking.cancelled()
    assert most in (1, 2), "looked at all the time"
    assert len(set(live.values())) == len(live), "nobody keeps two keys"
    assert len(live.keys() - before.keys()) == 1, "the user's key is a new one"


async def test_no_secret_is_anywhere_else(ground: Ground, seen: Watcher, projects: list[str], tmp_path: Path) -> None:
    """After faults, rotations, poison and all readings: one hit, the answer that handed a credential out.

    Our own passwords and keys are looked for, too.
    """
    await poison(ground)
    async with seen.watching(projects):
        for identifier in projects:
            user = (await seen.get(f"{PROJECTS}/{identifier}"))["data"]["users"][0]["id"]
            assert (await sync(seen, identifier, user))["status"] == "active"
            for path in READS:
                await seen.get(f"{PROJECTS}/{identifier}{path}")
        await letters(ground, seen)
        for path in (PROJECTS, "/metrics", "/openapi.json"):
            await seen.ask("GET", path)
        given = await seen.get(f"{PROJECTS}/{identifier}/users/{user}/credential")
        assert given["data"]["secret_key"].startswith(MARK)
        assert (await seen.ask("GET", f"{PROJECTS}/{identifier}/users/{user}/credential")).status_code == 410
    ours = ground.services.secrets.values()
    assert any(b"ProjectProvisioning" in each for each in seen.heard), "push is among what was heard"
    told = [place for each in seen.heard for place in finds(each, MARK, *ours)]
    assert len(told) == 1, told
    found = dump(ground, tmp_path), *files(ground)
    assert list(finds_in(found, MARK, *ours)) == []
    assert_searchable(found)


async def poison(ground: Ground) -> None:
    """Something that no service understands, so that there is a dead letter."""
    vhost = ground.parts.endpoints.virtual_host
    body = {**POISON, "payload": "no event", "payload_encoding": "string"}
    async with httpx.AsyncClient(base_url=ground.parts.endpoints.rabbitmq_api_url) as api:
        (await api.post(f"/api/exchanges/{vhost}/events/publish", json=body)).raise_for_status()


async def letters(ground: Ground, seen: Watcher) -> None:
    """Waits for the poison's dead letters, and reads them."""
    async with asyncio.timeout(30):
        while not (found := (await seen.get("/admin/v1/dead-letters"))["data"]):  # noqa: ASYNC110 - the same
            await asyncio.sleep(0.2)
    for each in found:
        await seen.get(f"/admin/v1/dead-letters/{each['service']}/{each['id']}")


def dump(ground: Ground, folder: Path) -> Path:
    """All that the database holds, as its superuser sees it."""
    database, path = ground.parts.database, folder / "dump.sql"
    command = [str(programs.postgresql() / "pg_dump"), "-h", "127.0.0.1", "-p", str(database.port), "-f", str(path)]
    environment = {"PGPASSWORD": database.superuser_password}
    subprocess.run([*command, "-U", "postgres", "uca"], env=environment, check=True)
    return path


def files(ground: Ground) -> list[Path]:
    """The broker's data and log, every process's log, and the database's own."""
    stack = ground.stack.directory
    broker = ground.parts.broker.folder
    folders = (broker / "data", broker / "log", stack / "logs", ground.parts.database.data)
    return [path for folder in folders for path in folder.rglob("*") if path.is_file()]


def assert_searchable(found: tuple[Path, ...]) -> None:
    """What is known to be there is found: the search does not pass because it looks at nothing."""
    for words, part in (("calm@uca.test", "dump.sql"), ("Canary calm", "rabbitmq"), ("user-syncer", "logs")):
        assert any(part in path.parts or path.name == part for path, _ in finds_in(found, words)), (words, part)
