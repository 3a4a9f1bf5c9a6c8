"""A cloud project with our mark that no project of ours should have is told once, and counted while it stays."""

from collections.abc import Callable

from clouds.port import ProjectSpec
from contracts.events import OrphanFound, RemovalRequested
from prometheus_client import REGISTRY
from user_syncer.orphans import OrphanSweep
from user_syncer.testing import Project, Replica

GHOST = ProjectSpec("GHOST", "Ghost")


async def looked(replica: Replica, period: float = 0) -> float | None:
    """The gauge after one look."""
    sweep = OrphanSweep(replica.database, replica.clouds, period)
    await sweep.look()
    await sweep.measure()
    return REGISTRY.get_sample_value("uca_orphan_projects", {"region": "here"})


async def test_an_orphan_is_told_once_while_it_stays(replica: Replica, project: Project) -> None:
    """From the second look on, since its request may be on its way at the first; anew where it was gone meanwhile."""
    await project.provision(users=1)
    cloud = replica.clouds.open("here")
    made = await cloud.ensure_project(GHOST)
    assert [await looked(replica) for _ in range(3)] == [0, 1, 1]
    (found,) = replica.told(OrphanFound)
    assert (found.identifier, found.run, found.provider, found.region) == ("GHOST", 0, "zadara", "here")
    assert (found.provider_project_id, found.name) == (made.id, made.name)
    await cloud.delete_project(GHOST)
    assert await looked(replica) == 0
    await cloud.ensure_project(GHOST)
    assert [await looked(replica) for _ in range(2)] == [0, 1]
    assert len(replica.told(OrphanFound)) == 2


async def test_one_replica_tells(make_replica: Callable[..., Replica]) -> None:
    """However many look, and though each was started anew; two looks at nearly the same time count as one."""
    first, second = make_replica(), make_replica()
    await first.clouds.open("here").ensure_project(GHOST)
    assert [await looked(each, period=3600) for each in (first, second)] == [0, 0]
    assert [await looked(each) for each in (second, first)] == [1, 1]
    assert len([*first.told(OrphanFound), *second.told(OrphanFound)]) == 1


async def test_a_project_that_outlived_its_removal_is_an_orphan(replica: Replica, project: Project) -> None:
    """Not while the removal may still be on its way to the cloud."""
    await project.provision(users=1)
    await replica.hear(project.command(RemovalRequested, run=2, users=1))
    await replica.work_off()
    assert [await looked(replica) for _ in range(2)] == [0, 0]
    await replica.run("UPDATE runs SET deadline_at = now() - interval '1 s'")
    assert [await looked(replica) for _ in range(2)] == [0, 1]


async def test_a_mark_of_another_regions_project_is_no_excuse(replica: Replica, project: Project) -> None:
    """A project has its cloud project in its own region."""
    await project.provision(users=1)
    await replica.run("UPDATE runs SET region = 'there'")
    assert [await looked(replica) for _ in range(2)] == [0, 1]
