"""Suspensions, removals, and what comes late."""

import pytest
from backbone.retries import Snooze
from cloud_simulator.testing import RunningSimulator
from contracts.events import (
    LinkRemoved,
    LinkSuspended,
    ProjectCreated,
    ProvisioningRequested,
    RemovalRequested,
    Step,
    SuspensionRequested,
)
from link_provisioner import links
from link_provisioner.handlers import (
    ensure_link,
    finish_access_end,
    report_failure,
    want_removal,
    want_suspension,
)
from link_provisioner.testing import FAILURE, Story


async def test_a_suspension_waits_until_access_has_ended(linked: Story, simulator: RunningSimulator) -> None:
    """The request alone changes nothing on the cloud; zCompute cannot disable a project, so revoked access is it."""
    assert await linked.write(want_suspension, linked.command(SuspensionRequested, 2)) == []
    (fact,) = await linked.call_out(finish_access_end, linked.access_revoked(2))
    assert isinstance(fact, LinkSuspended)
    assert (await linked.row()).state == "suspended"
    assert (await simulator.stats())["objects"]["projects"] == 1
    assert await linked.call_out(finish_access_end, linked.access_revoked(2)) == [fact]


async def test_a_resumed_project_is_linked_again(linked: Story) -> None:
    """Resuming is a normal run."""
    await linked.write(want_suspension, linked.command(SuspensionRequested, 2))
    await linked.call_out(finish_access_end, linked.access_revoked(2))
    (fact,) = await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 3, reason="resume"))
    assert (fact.outcome, (await linked.row()).state) == ("unchanged", "linked")


async def test_a_removal_deletes_what_bears_our_mark(linked: Story, simulator: RunningSimulator) -> None:
    """The project leaves the cloud, and asking again tells it again without a call."""
    project_id = (await linked.row()).provider_project_id
    await linked.write(want_removal, linked.command(RemovalRequested, 2))
    (fact,) = await linked.call_out(finish_access_end, linked.access_revoked(2))
    assert isinstance(fact, LinkRemoved)
    assert (fact.provider_project_id, (await linked.row()).state) == (project_id, "removed")
    stats = await simulator.stats()
    assert stats["objects"]["projects"] == 0
    assert await linked.call_out(finish_access_end, linked.access_revoked(2)) == [fact]
    assert (await simulator.stats())["calls"]["total"] == stats["calls"]["total"]


async def test_a_removal_deletes_what_no_record_knows(story: Story, simulator: RunningSimulator) -> None:
    """A project whose making was never recorded is found by its mark."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    await story.change("provider_project_id = NULL")
    await story.write(want_removal, story.command(RemovalRequested, 2))
    await story.call_out(finish_access_end, story.access_revoked(2))
    assert (await simulator.stats())["objects"]["projects"] == 0


async def test_a_removal_of_what_never_was_is_done(story: Story) -> None:
    """A project whose link failed can be removed too."""
    await story.write(want_removal, story.command(RemovalRequested, 2))
    (fact,) = await story.call_out(finish_access_end, story.access_revoked(2))
    assert isinstance(fact, LinkRemoved)
    assert fact.provider_project_id is None


async def test_the_end_of_access_may_come_before_the_request(linked: Story) -> None:
    """Queues do not keep events of two services in order: the earlier one waits."""
    with pytest.raises(Snooze, match="not come"):
        await linked.call_out(finish_access_end, linked.access_revoked(2))


async def test_a_removal_waits_for_older_work(story: Story) -> None:
    """A project that is being made at this moment must not come to be after its removal."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    await story.change("state = 'pending', fact = NULL, lease_until = clock_timestamp() + interval '9 s'")
    await story.write(want_removal, story.command(RemovalRequested, 2))
    with pytest.raises(Snooze):
        await story.call_out(finish_access_end, story.access_revoked(2))


async def test_a_removal_that_fails_says_so_at_its_step(linked: Story) -> None:
    """What is given up on the way out is no failed link."""
    await linked.write(want_removal, linked.command(RemovalRequested, 2))
    (fact,) = await linked.write(report_failure, linked.access_revoked(2), FAILURE)
    assert (fact.step, (await linked.row()).state) == (Step.REMOVE, "failed")


async def test_commands_that_come_late_change_nothing(linked: Story) -> None:
    """A suspension of an older run does not undo a newer one."""
    await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 3, reason="resume"))
    await linked.write(want_suspension, linked.command(SuspensionRequested, 2))
    row = await linked.row()
    assert (row.run, row.goal, row.state) == (3, "ensure", "linked")


async def test_a_removed_link_is_forgotten_in_time(linked: Story) -> None:
    """A month after its removal, and no link that is not removed ever."""
    await linked.change("settled_at = now() - interval '40 days'")
    await links.forget_removed(linked.database, 30)
    await linked.write(want_removal, linked.command(RemovalRequested, 2))
    await linked.call_out(finish_access_end, linked.access_revoked(2))
    await links.forget_removed(linked.database, 30)
    assert (await linked.row()).state == "removed"
    await linked.change("settled_at = now() - interval '40 days'")
    await links.forget_removed(linked.database, 30)
    with pytest.raises(ValueError, match="0 rows"):
        await linked.row()
