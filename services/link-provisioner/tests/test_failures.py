"""What is told of refusals, waits and runs that are given up."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from backbone.database import Transaction
from backbone.retries import Wait
from backbone.testing import LOCK_WAITS
from cloud_simulator.testing import RunningSimulator
from clouds.errors import CloudError, Conflict, Invalid, ProviderUnavailable, Transient
from clouds.providers import Clouds
from contracts.events import (
    ProjectCreated,
    ProvisioningFailed,
    Step,
    SuspensionRequested,
)
from link_provisioner import links
from link_provisioner.handlers import (
    ensure_link,
    report_delay,
    report_failure,
    want_suspension,
)
from link_provisioner.links import Link
from link_provisioner.testing import FAILURE, Story


async def test_a_cloud_that_cannot_be_reached_is_worth_another_try(story: Story) -> None:
    """Nothing was done, and the error says so to the retry rules."""
    with pytest.raises(Transient):
        await story.call_out(ensure_link, story.command(ProjectCreated, region="nowhere"))


async def test_an_unknown_region_is_final(story: Story) -> None:
    """No try helps, and a person reads why."""
    with pytest.raises(Invalid, match="'atlantis' is not configured") as caught:
        await story.call_out(ensure_link, story.command(ProjectCreated, region="atlantis"))
    assert (caught.value.code, caught.value.retryable) == ("unknown_region", False)


async def test_a_name_that_is_taken_is_never_adopted(story: Story, simulator: RunningSimulator, clouds: Clouds) -> None:
    """A project of that name without our mark is somebody else's."""
    cloud: Any = clouds.open("here")
    body = {"name": f"Shop-{story.identifier}", "description": "theirs", "domain_id": await cloud._account_id.get()}
    await cloud._call("create_project", "POST", "/identity/projects", body)
    with pytest.raises(Conflict) as caught:
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert caught.value.code == "name_taken"


async def test_a_run_past_its_deadline_fails(story: Story, simulator: RunningSimulator) -> None:
    """The database's clock decides; the cloud is not called any more."""
    event = story.command(ProjectCreated, deadline_at=datetime.now(UTC) - timedelta(seconds=1))
    (fact,) = await story.call_out(ensure_link, event, attempt=2)
    assert isinstance(fact, ProvisioningFailed)
    assert (fact.code, fact.step, fact.tries, fact.retryable) == ("deadline", Step.LINK, 2, True)
    assert ((await story.row()).state, (await simulator.stats())["calls"]["total"]) == ("failed", 0)


async def test_a_run_that_is_given_up_says_why(story: Story) -> None:
    """Step, code, words for a person, whether a retry helps, and the tries made."""
    event = story.command(ProjectCreated, region="nowhere")
    with pytest.raises(CloudError):
        await story.call_out(ensure_link, event)
    (fact,) = await story.write(report_failure, event, FAILURE)
    assert (fact.step, fact.code, fact.message) == (Step.LINK, "invalid", FAILURE.message)
    assert (fact.retryable, fact.tries, fact.user_id) == (False, 3, None)
    assert (await story.row()).state == "failed"
    assert await story.call_out(ensure_link, event) == [fact]


async def test_a_failure_of_an_older_run_is_nobodys_business(linked: Story) -> None:
    """A newer run has begun: its row stays as it is."""
    event = linked.command(ProjectCreated)
    await linked.write(want_suspension, linked.command(SuspensionRequested, 2))
    assert await linked.write(report_failure, event, FAILURE) == []
    assert (await linked.row()).state == "pending"


async def test_giving_up_leaves_a_run_to_the_worker_that_has_it(story: Story) -> None:
    """Another worker's lease is open: it goes on, and its end is what counts."""
    event = story.command(ProjectCreated, region="nowhere")
    with pytest.raises(CloudError):
        await story.call_out(ensure_link, event)
    await story.change("lease_until = clock_timestamp() + interval '9 s'")
    assert await story.write(report_failure, event, FAILURE) == []


async def test_a_wait_is_told_once(story: Story) -> None:
    """Looking again whether the provider is back is no news; another try, or another reason, is."""
    event = story.command(ProjectCreated, region="nowhere")
    with pytest.raises(CloudError):
        await story.call_out(ensure_link, event)
    closed = Wait(ProviderUnavailable("waiting", retry_after=5, reason="breaker"), 5, 1, 3)
    (delayed,) = await story.write(report_delay, event, closed)
    assert (delayed.step, delayed.code, delayed.message) == (Step.LINK, "provider", "waiting")
    assert (delayed.attempt, delayed.tries) == (1, 3)
    assert await story.write(report_delay, event, closed) == []
    again = Wait(Transient("no answer"), 5, 2, 3)
    assert [each.code for each in await story.write(report_delay, event, again)] == ["retry"]


async def test_a_long_wait_is_told_again(story: Story) -> None:
    """After ten minutes people are told until when it is now."""
    event = story.command(ProjectCreated, region="nowhere")
    with pytest.raises(CloudError):
        await story.call_out(ensure_link, event)
    wait = Wait(ProviderUnavailable("waiting", retry_after=5, reason="breaker"), 5, 1, 3)
    await story.write(report_delay, event, wait)
    await story.change("delay_told_at = now() - interval '11 minutes'")
    assert len(await story.write(report_delay, event, wait)) == 1


async def test_a_wait_of_an_older_run_is_not_told(linked: Story) -> None:
    """Nobody waits for it any more."""
    await linked.write(want_suspension, linked.command(SuspensionRequested, 2))
    wait = Wait(Transient("no answer"), 5, 2, 3)
    assert await linked.write(report_delay, linked.command(ProjectCreated), wait) == []


async def test_a_last_failure_is_told_though_leases_are_renewed_meanwhile(
    story: Story, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The lease that is given back stays free, so nobody else is thought to work on the run."""
    release, renewing = links.release, list[asyncio.Task[None]]()

    async def beside_a_renewal(tx: Transaction, link: Link) -> None:
        await release(tx, link)
        renewing.append(asyncio.create_task(story.provisioner._leases.renew()))
        while not (await story.database.execute(LOCK_WAITS)).all():  # noqa: ASYNC110 - the database's state
            await asyncio.sleep(0.01)

    monkeypatch.setattr(links, "release", beside_a_renewal)
    event = story.command(ProjectCreated, region="nowhere")
    with pytest.raises(Transient):
        await story.call_out(ensure_link, event, attempt=3)
    await renewing[0]
    assert [type(each) for each in await story.write(report_failure, event, FAILURE)] == [ProvisioningFailed]
    assert (await story.row()).state == "failed"
