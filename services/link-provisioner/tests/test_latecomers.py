"""What the cloud makes after it was removed."""

import pytest
from backbone.database import Database
from backbone.leases import LeaseKeeper
from backbone.retries import Snooze
from cloud_simulator.testing import RunningSimulator
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from contracts.events import ProjectCreated, ProvisioningRequested, RemovalRequested
from link_provisioner.handlers import ensure_link, finish_access_end, want_removal
from link_provisioner.latecomers import Latecomers, claim, looked
from link_provisioner.provisioner import Provisioner
from link_provisioner.testing import Story


@pytest.fixture
def latecomers(database: Database, clouds: Clouds) -> Latecomers:
    return Latecomers(database, clouds, LeaseKeeper(database, "links", "identifier", 15), 60, 60)


@pytest.fixture
async def removed(story: Story) -> Story:
    """A project that was removed before the cloud had made it, a while ago."""
    await remove(story)
    return story


async def remove(story: Story) -> None:
    await story.write(want_removal, story.command(RemovalRequested))
    await story.call_out(finish_access_end, story.access_revoked(1))
    await pass_time(story)


async def pass_time(story: Story) -> None:
    await story.change("look_again_at = look_again_at - interval '61 s', lease_until = lease_until - interval '61 s'")


async def carry_out_late(story: Story, clouds: Clouds) -> None:
    """A create that somebody sent before the removal takes its effect."""
    await clouds.open("here").ensure_project(ProjectSpec(story.identifier, "Shop"))


async def test_a_project_that_the_cloud_makes_after_its_removal_is_removed(
    removed: Story, latecomers: Latecomers, clouds: Clouds, simulator: RunningSimulator
) -> None:
    """A create without an answer that is carried out late leaves nothing on the cloud."""
    await carry_out_late(removed, clouds)
    await latecomers.look()
    assert (await simulator.stats())["objects"]["projects"] == 0


async def test_who_found_something_looks_again(
    removed: Story, latecomers: Latecomers, clouds: Clouds, simulator: RunningSimulator
) -> None:
    """Another create may be on its way still, so looking ends only with a look that finds nothing."""
    for _ in range(2):
        await carry_out_late(removed, clouds)
        await latecomers.look()
        await pass_time(removed)
    assert (await simulator.stats())["objects"]["projects"] == 0
    await latecomers.look()
    calls = (await simulator.stats())["calls"]["total"]
    await pass_time(removed)
    await latecomers.look()
    assert (await simulator.stats())["calls"]["total"] == calls


async def test_removals_come_no_faster_than_they_are_looked_for(
    removed: Story, provisioner: Provisioner, latecomers: Latecomers, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However many there are, one round looks for all whose time has come."""
    monkeypatch.setattr("link_provisioner.latecomers.AT_ONCE", 1)
    other = Story(removed.database, provisioner, "other")
    await remove(other)
    await latecomers.look()
    assert [(await each.row()).look_again_at for each in (removed, other)] == [None, None]


async def test_a_cloud_that_is_away_is_asked_later(
    removed: Story, latecomers: Latecomers, clouds: Clouds, simulator: RunningSimulator
) -> None:
    """A look that fails is no look; nothing is made until its lease has ended, for its delete may come late."""
    await carry_out_late(removed, clouds)
    await simulator.behave(error_rate=1, error_status=503)
    await latecomers.look()
    assert (await removed.row()).lease_until is not None
    await simulator.behave(error_rate=0)
    await pass_time(removed)
    await latecomers.look()
    assert (await simulator.stats())["objects"]["projects"] == 0


async def test_a_project_that_is_wanted_again_is_left_alone(
    removed: Story, latecomers: Latecomers, database: Database, simulator: RunningSimulator
) -> None:
    """A newer run waits while somebody looks, and afterwards nobody looks any more."""
    (claimed,) = [link for link in await claim(database, 15, 60) if link.identifier == removed.identifier]
    assert claimed.leased_as == claimed.fence
    newer = removed.command(ProvisioningRequested, 2, reason="retry")
    with pytest.raises(Snooze):
        await removed.call_out(ensure_link, newer)
    await looked(database, claimed, gone=False)
    await removed.change("lease_until = NULL")
    await removed.call_out(ensure_link, newer)
    await latecomers.look()
    assert (await simulator.stats())["objects"]["projects"] == 1


async def test_nobody_looks_for_what_is_linked(
    linked: Story, latecomers: Latecomers, simulator: RunningSimulator
) -> None:
    """A link costs no look."""
    await linked.call_out(ensure_link, linked.command(ProjectCreated))
    calls = (await simulator.stats())["calls"]["total"]
    await pass_time(linked)
    await latecomers.look()
    assert (await simulator.stats())["calls"]["total"] == calls
