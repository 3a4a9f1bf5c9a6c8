"""What somebody changed on the cloud is found by the sweep, told once, and gone after a run that rereads."""

from cloud_simulator.testing import RunningSimulator
from clouds.port import ProjectSpec
from contracts.events import DriftDetected, ProvisioningRequested
from prometheus_client import REGISTRY
from user_syncer.drift import DriftSweep
from user_syncer.testing import Project, Replica


def sweep(replica: Replica) -> DriftSweep:
    """Every project is due at each look."""
    return DriftSweep(replica.database, replica.clouds, 0)


async def revoke(replica: Replica, project: Project, user_id: int) -> None:
    """As somebody does at the cloud's own console: role and key."""
    cloud = replica.clouds.open("here")
    member = (await replica.members(project.identifier))[user_id]
    spec = ProjectSpec(project.identifier, "Shop")
    account = ((await cloud.read_snapshot(spec, project.provider_project_id)).users or {})[member.email.lower()]
    await cloud.revoke_role(project.provider_project_id, account.id, member.role)  # type: ignore[attr-defined] # zCompute's
    await cloud.revoke_key(project.provider_project_id, account, member.key_id)  # type: ignore[attr-defined] # zCompute's


async def test_a_settled_project_is_in_sync(replica: Replica, project: Project) -> None:
    """Nothing is told of it."""
    await project.provision(users=3)
    await sweep(replica).look()
    assert replica.told(DriftDetected) == []


async def test_drift_is_told_once_and_repaired(replica: Replica, project: Project, simulator: RunningSimulator) -> None:
    """The user and what is missing; then a run that rereads this user gives it back, and nobody else is touched."""
    await project.provision(users=3)
    keys = {user: row.key_id for user, row in (await replica.members(project.identifier)).items()}
    await revoke(replica, project, 2)
    for _ in range(2):
        await sweep(replica).look()
    (found,) = replica.told(DriftDetected)
    assert (found.run, found.user_id, found.drift) == (1, 2, ("grant_role", "attach_policy", "issue_key"))
    await sweep(replica).measure()
    assert REGISTRY.get_sample_value("uca_drift_users") == 1
    await project.provision(ProvisioningRequested, 2, users=3, reason="repair", reread=(2,))
    await sweep(replica).look()
    await sweep(replica).measure()
    assert REGISTRY.get_sample_value("uca_drift_users") == 0
    assert len((await simulator.objects())["grants"]) == 3
    after = {user: row.key_id for user, row in (await replica.members(project.identifier)).items()}
    assert [user for user in keys if keys[user] != after[user]] == [2]


async def test_a_missing_project_is_drift(replica: Replica, project: Project) -> None:
    """Told of the project itself."""
    await project.provision(users=1)
    await replica.clouds.open("here").delete_project(ProjectSpec(project.identifier, "Shop"))
    await sweep(replica).look()
    (found,) = replica.told(DriftDetected)
    assert (found.user_id, found.drift) == (None, ("project_missing",))
