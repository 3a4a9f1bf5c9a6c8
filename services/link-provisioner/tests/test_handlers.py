import asyncio
import itertools
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import uuid_utils
from backbone.database import Database
from backbone.envelope import unpack
from backbone.handlers import CallingOut, Work
from backbone.leases import LeaseKeeper
from backbone.retries import GiveUp, Snooze, Wait
from cloud_simulator.testing import RunningSimulator
from clouds.errors import CloudError, Conflict, Invalid, ProviderUnavailable, TimeoutUnknown, Transient
from clouds.providers import Clouds
from contracts import events
from contracts.events import (
    AccessRevoked,
    LinkEnsured,
    LinkRemoved,
    LinkSuspended,
    ProjectCreated,
    ProvisioningCancelled,
    ProvisioningFailed,
    ProvisioningRequested,
    RemovalRequested,
    RunRequested,
    Step,
    SuspensionRequested,
)
from contracts.subscriptions import PUBLICATIONS, SUBSCRIPTIONS
from link_provisioner import links
from link_provisioner.handlers import (
    HANDLERS,
    cancel_run,
    ensure_link,
    finish_access_end,
    report_delay,
    report_failure,
    want_removal,
    want_suspension,
)
from link_provisioner.links import _STATES
from link_provisioner.provisioner import Provisioner
from link_provisioner.shares import Shares
from sqlalchemy import text
from sqlalchemy.exc import NoResultFound

TYPES = {kind.__name__: kind for kind in events.RECORDED}
SENT = text("DELETE FROM outbox RETURNING created_at, body, content_type")
ROW = text("SELECT * FROM links WHERE identifier = :identifier")


class Story:
    """One project's events, and what link-provisioner makes of them."""

    def __init__(self, database: Database, provisioner: Provisioner, identifier: str) -> None:
        self.database = database
        self.provisioner = provisioner
        self.identifier = identifier

    def command(self, kind: type[RunRequested], run: int = 1, **fields: Any) -> Any:
        """An event of project-api; its deadline is a day ahead unless told otherwise."""
        now = datetime.now(UTC)
        known = {"name": "Shop", "tenant_id": 1, "provider": "zadara", "region": "here", "participants": ()}
        times = {"requested_at": now, "deadline_at": now + timedelta(days=1)}
        return kind.model_validate({**known, **times, "identifier": self.identifier, "run": run, **fields})

    def access_revoked(self, run: int) -> AccessRevoked:
        """What user-syncer says once nobody has access."""
        return AccessRevoked(identifier=self.identifier, run=run)

    async def call_out(self, handle: Any, event: Any, *, attempt: int = 1) -> list[Any]:
        """Runs a handler that calls the cloud; what it sent."""
        work = Work(self.database, str(uuid_utils.uuid7()), attempt=attempt)
        await handle(event, work=work, provisioner=self.provisioner)
        return await self.sent()

    async def write(self, handle: Any, *arguments: Any) -> list[Any]:
        """Runs a handler that only writes the database; what it returned."""
        async with self.database.transaction() as tx:
            return list(await handle(*arguments, tx=tx) or ())

    async def sent(self) -> list[Any]:
        """The events in the outbox, taken out of it."""
        async with self.database.transaction() as tx:
            rows = sorted((await tx.execute(SENT)).all())
        return [each.data for row in rows for each in unpack(bytes(row.body), row.content_type, TYPES)]

    async def row(self) -> Any:
        """The link as it is stored."""
        async with self.database.reading() as connection:
            return (await connection.execute(ROW, {"identifier": self.identifier})).one()

    async def change(self, assignments: str) -> None:
        """Sets columns as time or another worker would have."""
        async with self.database.transaction() as tx:
            await tx.execute(
                text(f"UPDATE links SET {assignments} WHERE identifier = :identifier"), {"identifier": self.identifier}
            )


_numbers = itertools.count(1)


@pytest.fixture
def story(database: Database, provisioner: Provisioner) -> Story:
    """A project that nobody has heard of."""
    return Story(database, provisioner, f"P{next(_numbers)}")


@pytest.fixture
async def linked(story: Story) -> Story:
    """A project whose first run is linked."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    return story


# --- the table


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


# --- ensuring


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


async def test_an_older_run_is_dropped(linked: Story) -> None:
    """A command that comes late says nothing and changes nothing."""
    await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 3, reason="retry"))
    assert await linked.call_out(ensure_link, linked.command(ProvisioningRequested, 2, reason="retry")) == []
    assert (await linked.row()).run == 3


async def test_a_leased_row_makes_the_event_wait(story: Story) -> None:
    """Somebody else works on it: the message comes again when the lease has ended."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    await story.change("state = 'pending', fact = NULL, lease_until = clock_timestamp() + interval '9 s'")
    with pytest.raises(Snooze) as caught:
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert 8 < caught.value.delay <= 9


async def test_a_newer_run_waits_for_older_work_and_takes_its_right_at_once(story: Story) -> None:
    """The fence rises when the newer run is heard of, though its own work begins after the open lease."""
    await story.call_out(ensure_link, story.command(ProjectCreated))
    await story.change("state = 'pending', fact = NULL, lease_until = clock_timestamp() + interval '9 s'")
    fence = (await story.row()).fence
    with pytest.raises(Snooze):
        await story.call_out(ensure_link, story.command(ProvisioningRequested, 2, reason="retry"))
    row = await story.row()
    assert (row.run, row.fence > fence) == (2, True)


async def test_two_workers_on_one_event_make_one_project(
    story: Story, simulator: RunningSimulator, database: Database, clouds: Clouds
) -> None:
    """One takes the lease and the other waits; both would end with the same project."""
    await simulator.behave(latency_ms={"project": 100})
    event = story.command(ProjectCreated)
    workers = [
        Provisioner(database, clouds, LeaseKeeper(database, "links", "identifier", 15), Shares(8), 60) for _ in range(8)
    ]
    works = [Work(database, str(uuid_utils.uuid7()), attempt=1) for _ in workers]
    ended = await asyncio.gather(
        *(ensure_link(event, work=w, provisioner=p) for w, p in zip(works, workers, strict=True)),
        return_exceptions=True,
    )
    assert {type(end) for end in ended} <= {type(None), Snooze}
    # Whoever comes after the end tells it again.
    assert {each.provider_project_id for each in await story.sent()} == {(await story.row()).provider_project_id}
    stats = await simulator.stats()
    assert (stats["objects"]["projects"], stats["duplicate_effects"]) == (1, 0)


async def test_a_stale_workers_result_is_refused(story: Story, simulator: RunningSimulator) -> None:
    """A newer run that comes during the call leaves nothing of the older one: no record, no fact."""
    await simulator.behave(latency_ms={"project": 300})
    working = asyncio.create_task(story.call_out(ensure_link, story.command(ProjectCreated)))
    while (await simulator.stats())["calls"]["by_route"].get("POST /identity/projects", 0) == 0:  # noqa: ASYNC110 - another process's state
        await asyncio.sleep(0.01)
    await story.write(cancel_run, story.command(ProvisioningCancelled, 2, cancelled_by="ann"))
    with pytest.raises(Snooze, match="lease was lost"):
        await working
    row = await story.row()
    assert (await story.sent(), row.state, row.provider_project_id, row.run) == ([], "cancelled", None, 2)
    assert await story.call_out(ensure_link, story.command(ProjectCreated)) == []


async def test_a_worker_whose_lease_ran_out_writes_nothing(
    story: Story, simulator: RunningSimulator, database: Database, clouds: Clouds
) -> None:
    """A process that was frozen wakes to find its lease gone, and creates no project."""

    class Frozen(LeaseKeeper):
        def hold(self, key: str, fence: int, asked_at: float | None = None) -> Any:
            return super().hold(key, fence, time.monotonic() - 60)

    story.provisioner = Provisioner(database, clouds, Frozen(database, "links", "identifier", 15), Shares(8), 60)
    with pytest.raises(Snooze, match="lease was lost"):
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert (await simulator.stats())["objects"]["projects"] == 0


async def test_a_failed_call_gives_the_lease_back(story: Story, simulator: RunningSimulator) -> None:
    """The next try need not wait for the lease to run out."""
    await simulator.behave(fail_project_names=["Shop"])
    with pytest.raises(Invalid):
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert (await story.row()).lease_until is None


async def test_a_call_that_takes_too_long_is_ended(
    story: Story, simulator: RunningSimulator, database: Database, clouds: Clouds
) -> None:
    """A try has a longest time, after which it counts as failed and may be made again."""
    await simulator.behave(hang_rate=1.0)
    story.provisioner = Provisioner(database, clouds, LeaseKeeper(database, "links", "identifier", 15), Shares(8), 0.2)
    with pytest.raises(TimeoutUnknown, match="longer than") as caught:
        await story.call_out(ensure_link, story.command(ProjectCreated))
    assert caught.value.retryable


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


# --- giving up, and waiting

FAILURE = GiveUp("invalid", "The cloud answered 400: no such quota", retryable=False, tries=3, expected=True)


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


# --- suspending and removing


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
    with pytest.raises(NoResultFound):
        await linked.row()
