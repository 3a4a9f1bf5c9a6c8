"""Dump, wipe, restore, as docs/backup-and-restore.md has it."""

import asyncio
import os
import shutil
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import asyncpg
import httpx
import pytest
from local import infrastructure, programs
from local.services import SERVICES, executable
from local.stack import Stack

READ_MODEL = (
    "SELECT to_jsonb(s)::text FROM status_projector.project_status AS s WHERE identifier = ANY($1::text[])"
    " UNION ALL SELECT to_jsonb(u)::text FROM status_projector.user_status AS u WHERE identifier = ANY($1::text[])"
    " ORDER BY 1"
)
KEPT = (
    "SELECT to_jsonb(m)::text FROM user_syncer.member_records AS m WHERE identifier = ANY($1::text[])"
    " UNION ALL SELECT to_jsonb(p)::text FROM project_api.participants AS p WHERE identifier = ANY($1::text[])"
    " UNION ALL SELECT to_jsonb(l)::text FROM link_provisioner.links AS l WHERE identifier = ANY($1::text[])"
    " ORDER BY 1"
)
FINISHED = (
    "SELECT identifier FROM status_projector.project_status WHERE identifier = ANY($1::text[]) AND status = 'active'"
)


@dataclass(frozen=True)
class Site:
    """A stack whose database and broker may be lost; its cloud stays."""

    stack: Stack
    api: httpx.AsyncClient
    cloud: httpx.AsyncClient

    @property
    def superuser_url(self) -> str:
        """Row-level security binds every other role."""
        database = self.stack.infrastructure().database
        return f"postgresql://postgres:{database.superuser_password}@127.0.0.1:{database.port}/uca"

    async def rows(self, statement: str, identifiers: Sequence[str]) -> list[str]:
        """The first column."""
        connection = await asyncpg.connect(self.superuser_url)
        try:
            return [row[0] for row in await connection.fetch(statement, list(identifiers))]
        finally:
            await connection.close()

    async def create(self, name: str) -> str:
        """A project's identifier."""
        answer = await self.api.post("/admin/v1/projects", json={"name": name, "region": "region-1"})
        return str(answer.raise_for_status().json()["identifier"])

    async def until_active(self, identifiers: Sequence[str]) -> None:
        """Raises TimeoutError after a minute."""
        async with asyncio.timeout(60):
            while len(await self.rows(FINISHED, identifiers)) < len(identifiers):  # noqa: ASYNC110 - other processes' work
                await asyncio.sleep(0.2)

    def lose(self) -> None:
        """Database and broker end, and nothing is left of their data."""
        parts = self.stack.infrastructure()
        names = {each["name"] for each in self.stack.supervisor.overview()} - {"cloud-simulator"}
        self.stack.supervisor.stop(names - {"database", "broker", "epmd"})
        self.stack.supervisor.stop(names)
        infrastructure.wipe(self.stack.directory)
        parts.programs()  # makes the empty places anew

    def postgres(self, program: str, *arguments: str) -> None:
        """One of PostgreSQL's own programs."""
        subprocess.run([str(programs.postgresql() / program), *arguments], check=True)

    def rebuild(self) -> None:
        """`make rebuild-status`."""
        services = self.stack.services(self.stack.infrastructure(), 1)
        projector = next(each for each in SERVICES if each.name == "status-projector")
        environment = services.environment(projector, 1, self.stack.environment)
        subprocess.run([executable("status-projector"), "rebuild"], env=environment, check=True)


@pytest.fixture
async def site(pytestconfig: pytest.Config) -> AsyncIterator[Site]:
    """A private one, for it is to be destroyed."""
    stack = Stack(pytestconfig.rootpath / ".run" / "backup", {"PATH": os.environ["PATH"], "SWEEP_SECONDS": "2"})
    await asyncio.to_thread(stack.down, wipe=True)
    try:
        values = await asyncio.to_thread(stack.up)
        token = {"Authorization": f"Bearer {values['UCA_ADMIN_TOKEN']}"}
        async with (
            httpx.AsyncClient(base_url=values["UCA_API_URL"], headers=token, timeout=30) as api,
            httpx.AsyncClient(base_url=values["UCA_SIMULATOR_URL"]) as cloud,
        ):
            yield Site(stack, api, cloud)
    finally:
        await asyncio.to_thread(stack.down, wipe=True)
        shutil.rmtree(stack.directory, ignore_errors=True)


async def test_a_dump_brings_everything_back(site: Site, tmp_path: Path) -> None:
    """Same rows, the same bytes of the read model rebuilt, and a run that was under way ends active."""
    ended = [await site.create(f"ended-{number}") for number in range(10)]
    await site.until_active(ended)
    kept, shown = await site.rows(KEPT, ended), await site.rows(READ_MODEL, ended)
    (await site.cloud.put("/_sim/behaviour", json={"latency_ms": {"project": 5000}})).raise_for_status()
    under_way = await site.create("under-way")
    dump = str(tmp_path / "uca.dump")
    site.postgres("pg_dump", "--format=custom", f"--file={dump}", site.superuser_url)

    await asyncio.to_thread(site.lose)
    await asyncio.to_thread(site.stack.migrate)
    restore = "--clean", "--if-exists", "--exit-on-error"
    site.postgres("pg_restore", *restore, f"--dbname={site.superuser_url}", dump)
    await asyncio.to_thread(site.stack.up)
    site.rebuild()

    assert await site.rows(KEPT, ended) == kept
    assert await site.rows(READ_MODEL, ended) == shown
    await site.until_active([under_way])
    assert (await site.cloud.get("/_sim/stats")).json()["duplicate_effects"] == 0
