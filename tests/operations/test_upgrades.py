"""A release under load: each replica is replaced, and the schema grows while the old version still runs."""

import asyncio
import subprocess

from local.services import executable
from migrator.plan import Service

from tests.faults import verdict
from tests.faults.ground import NAMES, Ground
from tests.faults.stream import Stream


async def test_replicas_are_replaced_without_an_error(ground: Ground) -> None:
    """One after another, as a rollout does: taken out of the balancer, ended, started, ready, put back."""
    before = await verdict.baseline(ground)
    stream = Stream(list(ground.api_urls), ground.values["UCA_ADMIN_TOKEN"], name="rolling", count=100, rate=4)
    sending = asyncio.create_task(stream.run())
    for name in ground.instances:
        if name.startswith("project-api"):
            leaving = ground.api_urls[1 if name.endswith(".2") else 0]
            stream.urls = [url for url in ground.api_urls if url != leaving]
        await ground.stop(name)
        await ground.start(name)
        await ground.ready()
        stream.urls = list(ground.api_urls)
    await sending
    found = await verdict.settle(ground, stream, before)
    assert set(stream.answers) == {"2xx"}
    assert (found.accepted, found.settled, found.parked, found.failed_runs) == (100, True, 0, [])


async def test_a_schema_grows_while_the_old_version_runs(ground: Ground) -> None:
    """The migrator runs again, and a newer one adds a column to every service's tables: nobody stops, nothing fails."""
    before = await verdict.baseline(ground)
    stream = Stream(ground.api_urls, ground.values["UCA_ADMIN_TOKEN"], name="growing", count=60, rate=10)
    sending = asyncio.create_task(stream.run())
    await asyncio.to_thread(_migrate, ground)
    revisions = {}
    for schema in (Service(name).schema for name in NAMES):
        (row,) = await ground.rows(f"SELECT version_num FROM {schema}.alembic_version")
        revisions[schema] = row["version_num"]
        await ground.rows(f"ALTER TABLE {schema}.outbox ADD COLUMN of_the_next_version text")
        await ground.rows(f"UPDATE {schema}.alembic_version SET version_num = '9999'")
    await ground.ready()
    await sending
    found = await verdict.settle(ground, stream, before)
    for schema, revision in revisions.items():
        await ground.rows(f"ALTER TABLE {schema}.outbox DROP COLUMN of_the_next_version")
        await ground.rows(f"UPDATE {schema}.alembic_version SET version_num = $1", revision)
    assert set(stream.answers) == {"2xx"}
    assert (found.accepted, found.settled, found.parked, found.failed_runs) == (60, True, 0, [])


def _migrate(ground: Ground) -> None:
    environment = {**ground.stack.environment, **ground.services.migrator_environment()}
    subprocess.run([executable("migrator")], env=environment, check=True, capture_output=True)
