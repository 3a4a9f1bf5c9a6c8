"""Whole runs on a real Keystone, which can do what zCompute cannot: bulk reads, chosen keys, disabled projects."""

from collections.abc import AsyncIterator

import pytest
from backbone.database import Database
from clouds.counting import counting_calls
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from clouds.testing import running_keystone
from contracts.events import AccessRevoked, ProvisioningRequested, RemovalRequested, SuspensionRequested, UserSynced
from user_syncer.settings import Settings
from user_syncer.testing import Project, Replica, linked_project


@pytest.fixture(scope="module")
async def clouds() -> AsyncIterator[Clouds]:
    """One region on a Keystone of this module's own."""
    with running_keystone() as keystone:
        opened = Clouds({"here": keystone.region("here")})
        yield opened
        await opened.aclose()


@pytest.fixture
async def project(database: Database, clouds: Clouds) -> AsyncIterator[Project]:
    """A linked project, and a replica that serves it."""
    given = {"database_url": database.url, "amqp_url": "amqp://nobody@127.0.0.1:9/", "cloud_regions_file": "none"}
    own = Database(database.url, schema="user_syncer", source="user-syncer")
    replica = Replica(own, clouds, Settings.model_validate({**given, "chunk_size": 4}))
    yield await linked_project(replica)
    await own.close()


@pytest.mark.parametrize("users", [1, 30])
async def test_calls_of_a_cold_and_an_unchanged_run(project: Project, users: int) -> None:
    """Cold: at most 12, and 3 a user (account, role, key). Unchanged: at most 12. More users are its adapter's test."""
    with counting_calls() as cold:
        await project.provision(users=users)
    with counting_calls() as unchanged:
        await project.provision(ProvisioningRequested, run=2, users=users, reason="provision")
    assert len(project.replica.told(UserSynced)) == 2 * users
    assert cold.made <= 12 + 3 * users
    assert unchanged.made <= 12


async def test_a_suspension_leaves_grants_to_the_disabled_project(project: Project) -> None:
    """Nothing is to be revoked: the link's turn comes at once, and a resumed project needs no write."""
    replica = project.replica
    await project.provision(users=3)
    with counting_calls() as calls:
        await replica.hear(project.command(SuspensionRequested, run=2, users=3))
    assert replica.events[-1] == AccessRevoked(identifier=project.identifier, run=2)
    assert calls.made == 0
    await project.provision(ProvisioningRequested, run=3, users=3, reason="resume")
    assert [event.changed for event in replica.told(UserSynced) if event.run == 3] == [(), (), ()]


async def test_a_removal_takes_everything(project: Project) -> None:
    """Roles and keys are gone before the link's turn comes."""
    replica = project.replica
    await project.provision(users=5)
    await replica.hear(project.command(RemovalRequested, run=2, users=5))
    await replica.work_off()
    assert replica.events[-1] == AccessRevoked(identifier=project.identifier, run=2)
    spec = ProjectSpec(project.identifier, "Shop")
    snapshot = await replica.clouds.open("here").read_snapshot(spec, project.provider_project_id)
    assert not any((snapshot.roles or {}).values())
    assert not any((snapshot.keys or {}).values())
