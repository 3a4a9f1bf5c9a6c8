"""What zCompute cannot do, on a real Keystone."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta

import pytest
import uuid_utils
from backbone.database import Database
from backbone.handlers import Work
from backbone.leases import LeaseKeeper
from backbone.shares import Shares
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from clouds.testing import running_keystone
from contracts.events import AccessRevoked, ProjectCreated, ProvisioningRequested, RemovalRequested, SuspensionRequested
from link_provisioner.handlers import ensure_link, finish_access_end, want_removal, want_suspension
from link_provisioner.provisioner import Provisioner


@pytest.fixture(scope="module")
async def keystone() -> AsyncIterator[Clouds]:
    """A Keystone of this module's own, as region `here`."""
    with ExitStack() as stack:
        running = await asyncio.to_thread(stack.enter_context, running_keystone())
        opened = Clouds({"here": running.region("here")})
        yield opened
        await opened.aclose()


async def test_a_project_is_disabled_enabled_and_deleted(database: Database, keystone: Clouds) -> None:
    """Suspending closes the cloud project where that can be done, resuming opens it, removing deletes it."""
    provisioner = Provisioner(database, keystone, LeaseKeeper(database, "links", "identifier", 15), Shares(8, 8), 60)
    cloud, spec, now = keystone.open("here"), ProjectSpec("K1", "Shop"), datetime.now(UTC)
    common = {
        "identifier": "K1",
        "name": "Shop",
        "tenant_id": 1,
        "provider": "keystone",
        "region": "here",
        "participants": (),
        "requested_at": now,
        "deadline_at": now + timedelta(days=1),
    }

    def work() -> Work:
        return Work(database, str(uuid_utils.uuid7()), attempt=1)

    async def is_enabled() -> bool | None:
        project = await cloud.find_project(spec)
        return None if project is None else project.enabled

    created = ProjectCreated.model_validate({**common, "run": 1})
    await ensure_link(created, work=work(), provisioner=provisioner)
    async with database.transaction() as tx:
        await want_suspension(SuspensionRequested.model_validate({**common, "run": 2}), tx=tx)
    await finish_access_end(AccessRevoked(identifier="K1", run=2), work=work(), provisioner=provisioner)
    assert await is_enabled() is False
    resumed = ProvisioningRequested.model_validate({**common, "run": 3, "reason": "resume"})
    await ensure_link(resumed, work=work(), provisioner=provisioner)
    assert await is_enabled() is True
    async with database.transaction() as tx:
        await want_removal(RemovalRequested.model_validate({**common, "run": 4}), tx=tx)
    await finish_access_end(AccessRevoked(identifier="K1", run=4), work=work(), provisioner=provisioner)
    assert await is_enabled() is None
