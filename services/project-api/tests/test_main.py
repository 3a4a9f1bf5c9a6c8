"""The console script, as a process of its own on a real database and broker."""

import asyncio
import json
import os
import secrets
import signal
import socket
import sys
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from backbone import topology
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS, WATCHERS

PATIENCE = 30.0


@pytest.fixture(scope="module")
def amqp_url(rabbitmq_url: str, rabbitmq_api_url: str) -> Iterator[str]:
    """A virtual host of this module's own, with every exchange and queue."""
    name = f"test-{secrets.token_hex(6)}"
    with httpx.Client(base_url=f"{rabbitmq_api_url}/api", timeout=60) as api:
        definitions = topology.definitions(SUBSCRIPTIONS, PUBLICATIONS, {}, vhost=name, watchers=WATCHERS)
        api.put(f"/vhosts/{name}").raise_for_status()
        api.post("/definitions", json=definitions).raise_for_status()
        yield urlsplit(rabbitmq_url)._replace(path=f"/{name}").geturl()
        api.delete(f"/vhosts/{name}").raise_for_status()


@pytest.fixture(scope="module")
def environment(urls: Any, amqp_url: str, regions_file: Path) -> dict[str, str]:
    """Everything that the service asks for."""
    with socket.socket() as free:
        while True:
            port = 20000 + secrets.randbelow(12000)
            try:
                free.bind(("127.0.0.1", port))
                break
            except OSError:
                continue
    return {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": urls.admin,
        "TENANT_DATABASE_URL": urls.tenant,
        "AMQP_URL": amqp_url,
        "API_PORT": str(port),
        "JWT_SECRET": secrets.token_hex(32),
        "PUSH_SECRET": secrets.token_hex(16),
        "SEALING_KEYS": "test:MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=",
        "CLOUD_REGIONS_FILE": str(regions_file),
        "TEST_CLOUD_PASSWORD": "a password",
        "DRAIN_SECONDS": "10",
    }


async def start(environment: Mapping[str, str], *arguments: str) -> Process:
    """The console script, begun."""
    pipe = asyncio.subprocess.PIPE
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "project_api", *arguments, env=environment, stdout=pipe, stderr=pipe
    )


async def run(environment: Mapping[str, str], *arguments: str) -> tuple[int | None, str, str]:
    """The console script's exit status, standard output and standard error."""
    process = await start(environment, *arguments)
    async with asyncio.timeout(PATIENCE):
        output, errors = await process.communicate()
    return process.returncode, output.decode(), errors.decode()


@asynccontextmanager
async def serving(
    environment: Mapping[str, str],
) -> AsyncIterator[tuple[Process, httpx.AsyncClient]]:
    """The service, ready, and a client of it; ended by force if it has not ended by then."""
    process = await start(environment)
    try:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{environment['API_PORT']}") as client:
            async with asyncio.timeout(PATIENCE):
                while not await _ready(client):
                    assert process.returncode is None, (await process.communicate())[0].decode()
                    await asyncio.sleep(0.1)  # another process's start cannot be awaited
            yield process, client
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def _ready(client: httpx.AsyncClient) -> bool:
    try:
        return (await client.get("/readyz")).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"TENANT_DATABASE_URL": None}, "setting TENANT_DATABASE_URL: Field required"),
        ({"JWT_SECRET": None}, "set either JWT_SECRET"),
        ({"TEST_CLOUD_PASSWORD": None}, "TEST_CLOUD_PASSWORD is not set"),
        ({"SEALING_KEYS": "nonsense"}, "setting SEALING_KEYS: "),
    ],
)
async def test_a_wrong_setting_is_named(
    environment: dict[str, str], changes: dict[str, str | None], words: str
) -> None:
    """The service says which one and what is wrong, never the value of a secret, and exits with 2."""
    changed = {name: value for name, value in {**environment, **changes}.items() if value is not None}
    status, _, errors = await run(changed)
    assert status == 2
    assert words in errors
    assert "Traceback" not in errors
    assert environment["PUSH_SECRET"] not in errors


async def test_a_port_that_is_taken_is_named(environment: dict[str, str]) -> None:
    """With who should look where."""
    with socket.create_server(("127.0.0.1", int(environment["API_PORT"]))):
        status, _, errors = await run(environment)
    assert status == 2
    assert errors.startswith("setting API_PORT: ")


async def test_a_host_that_is_none_is_named(environment: dict[str, str]) -> None:
    """The port is not blamed for it."""
    status, _, errors = await run({**environment, "API_HOST": "999.1.1.1"})
    assert (status, errors.split(":")[0]) == (2, "setting API_HOST")


async def test_seed_and_token_give_a_first_admin(environment: dict[str, str]) -> None:
    """Seeding twice is seeding once; a token is printed alone, and one of nobody is refused."""
    first, second = await run(environment, "seed"), await run(environment, "seed")
    assert first == second
    assert first[0] == 0
    ids = json.loads(first[1])
    assert len(ids["admins"]) == 2
    status, token, errors = await run(environment, "token", "--user", str(ids["tenant_admin"]))
    assert (status, token.count("."), errors) == (0, 2, "")
    status, output, errors = await run(environment, "token", "--user", "999999999")
    assert (status, output, errors) == (1, "", "There is no user 999999999.\n")


async def test_it_serves_and_drains(environment: dict[str, str]) -> None:
    """Ready with broker and database; at SIGTERM who waits for news is answered, and the process ends well."""
    ids = json.loads((await run(environment, "seed"))[1])
    token = (await run(environment, "token", "--user", str(ids["admins"][0])))[1].strip()
    headers = {"Authorization": f"Bearer {token}"}
    async with serving(environment) as (process, client):
        who = await client.get("/api/v1/business/auth/user", headers=headers)
        assert who.json()["data"]["id"] == ids["admins"][0]
        body = {"name": f"Drained {secrets.token_hex(4)}", "region": "region-1"}
        made = await client.post("/admin/v1/projects", json=body, headers=headers)
        assert made.status_code == 201, made.text
        path = f"/admin/v1/projects/{made.json()['identifier']}/status"
        etag = (await client.get(path, headers=headers)).headers["etag"]
        waiting = asyncio.create_task(
            client.get(f"{path}?wait=60", headers={**headers, "If-None-Match": etag}, timeout=PATIENCE)
        )
        for _ in range(2):  # answered after what was sent before them has been taken in
            await client.get("/healthz")
        process.send_signal(signal.SIGTERM)
        answer = await waiting
        assert answer.status_code in (200, 304)
        async with asyncio.timeout(PATIENCE):
            output, errors = await process.communicate()
    assert process.returncode == 0, output.decode()
    events = [json.loads(line)["event"] for line in output.decode().splitlines()]
    assert events[-1] == "service.stopped"
    assert errors == b""
