"""The table of handlers, and the first of them: a cloud project for each link."""

from backbone.handlers import CallingOut
from cloud_simulator.testing import RunningSimulator
from contracts import events
from contracts.events import (
    LinkEnsured,
    ProjectCreated,
    ProvisioningRequested,
)
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from link_provisioner.handlers import (
    HANDLERS,
    ensure_link,
    report_delay,
    report_failure,
)
from link_provisioner.links import _STATES
from link_provisioner.testing import Story


def test_the_table_is_what_the_service_is_subscribed_to() -> None:
    """Every event that reaches the queue has a handler, and no handler waits for one that cannot come."""
    assert {kind.routing_key for kind in HANDLERS} == set(SUBSCRIPTIONS["link-provisioner"])


def test_what_is_told_may_be_published() -> None:
    """The broker lets this service say each of its facts."""
    told = {fact.routing_key for fact in (*_STATES, events.ProvisioningDelayed)}
    assert told == set(PUBLICATIONS["link-provisioner"])


def test_a_handler_that_calls_out_answers_for_failures_and_waits() -> None:
    """No run ends or waits in silence."""
    calling = [handler for handler in HANDLERS.values() if isinstance(handler, CallingOut)]
    assert {(handler.on_give_up, handler.on_wait) for handler in calling} == {(report_failure, report_delay)}


async def test_a_new_project_gets_its_cloud_project(story: Story, simulator: RunningSimulator) -> None:
    """It bears our mark and the name that the admin gave, and the fact says that it was made."""
    (fact,) = await story.call_out(ensure_link, story.command(ProjectCreated))
    (project,) = (await simulator.objects())["projects"]
    assert (project["name"], project["mark"]) == (f"Shop-{story.identifier}", f"uca:{story.identifier}")
    assert isinstance(fact, LinkEnsured)
    assert (fact.provider_project_id, fact.outcome, fact.run) == (project["id"], "created", 1)
    row = await story.row()
    assert (row.state, row.provider_project_id, row.lease_until) == ("linked", project["id"], None)


async def test_a_finished_run_tells_its_fact_again_without_a_call(linked: Story, simulator: RunningSimulator) -> None:
    """A command that is sent again, because nobody heard the fact, costs the cloud nothing."""
    before = (await simulator.stats())["calls"]["total"]
    (fact,) = await linked.call_out(ensure_link, linked.command(ProjectCreated))
    assert (fact.outcome, (await simulator.stats())["calls"]["total"]) == ("created", before)


async def test_a_later_run_costs_one_look(linked: Story, simulator: RunningSimulator) -> None:
    """A link that is there already is found with one call, and the fact says that nothing was changed."""
    before = (await simulator.stats())["calls"]["total"]
    (fact,) = await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 2, reason="retry"))
    assert (fact.outcome, fact.run, fact.calls) == ("unchanged", 2, 1)
    assert (await simulator.stats())["calls"]["total"] == before + 1


async def test_a_project_that_vanished_from_the_cloud_is_made_again(linked: Story, simulator: RunningSimulator) -> None:
    """A new run repairs what somebody deleted behind our back."""
    await simulator.reset()
    (fact,) = await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 2, reason="retry"))
    assert fact.outcome == "created"
    assert (await linked.row()).provider_project_id == fact.provider_project_id


async def test_what_a_crash_left_on_the_cloud_is_adopted(story: Story, simulator: RunningSimulator) -> None:
    """A worker that died between the call and its record leaves a project that the next one takes over."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    await story.change("state = 'pending', fact = NULL, provider_project_id = NULL, lease_until = '2020-01-01'")
    (fact,) = await story.call_out(ensure_link, story.command(ProjectCreated))
    assert fact.outcome == "adopted"
    assert (await simulator.stats())["duplicate_effects"] == 0
