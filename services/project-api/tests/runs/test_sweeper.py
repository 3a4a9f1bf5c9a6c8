"""The sweeper: runs end, whatever was lost."""

import asyncio

import pytest
from contracts.status import Kind, Status, StepStatus
from project_api.runs.sweeper import DOUBLINGS, Sweeper
from project_api.testing import World, ended, going


async def sweep(world: World, rounds: int = 1) -> None:
    await asyncio.gather(*(Sweeper(world.parts.database, world.parts.settings).sweep() for _ in range(rounds)))


async def age(world: World, identifier: str, seconds: float) -> None:
    """Lets that much time pass for the project, and for its outbox nothing."""
    await world.rows(
        "UPDATE projects SET requested_at = requested_at - make_interval(secs => $2),"
        " swept_at = swept_at - make_interval(secs => $2), deadline_at = deadline_at - make_interval(secs => $2)"
        " WHERE identifier = $1",
        identifier,
        seconds,
    )
    await world.projector.execute(
        "UPDATE status_projector.project_status SET updated_at = updated_at - make_interval(secs => $2)"
        " WHERE identifier = $1",
        identifier,
        seconds,
    )


async def told(world: World, identifier: str) -> list[tuple[str, int]]:
    return [(event["type"], event["run"]) for event in await world.outbox(identifier)]


async def test_a_run_that_stands_still_is_asked_for_again(world: World) -> None:
    """After SWEEP_SECONDS without progress the same event is sent in a new message, from the database alone."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await sweep(world)
    assert await told(world, identifier) == [("ProjectCreated", 1)]
    await age(world, identifier, 31)
    await sweep(world)
    first, again = await world.outbox(identifier)
    times = ("requested_at", "deadline_at")  # these alone were moved, by the test
    assert [{**each["data"], **dict.fromkeys(times)} for each in (first, again)] == 2 * [
        {**first["data"], **dict.fromkeys(times)}
    ]
    assert first["id"] != again["id"]


async def test_the_pause_doubles(world: World) -> None:
    """30 s, then 60 more, then 120 more."""
    identifier = await world.create()
    for pause, events in ((31, 2), (31, 2), (30, 3), (61, 3), (60, 4)):
        await age(world, identifier, pause)
        await sweep(world)
        assert len(await told(world, identifier)) == events


async def test_two_replicas_do_not_double_it(world: World) -> None:
    """However many sweep at once, each due run is asked for once."""
    identifier = await world.create()
    await age(world, identifier, 31)
    await sweep(world, rounds=4)
    await sweep(world, rounds=4)
    assert len(await told(world, identifier)) == 2


async def test_progress_is_left_alone(world: World) -> None:
    """A run whose read model moved lately is not disturbed, and begins with a short pause again."""
    identifier = await world.create()
    await age(world, identifier, 31)
    await sweep(world)
    await age(world, identifier, 300)
    await world.fold(identifier, going(StepStatus.COMPLETED, StepStatus.PENDING), version=3)
    await sweep(world)
    assert len(await told(world, identifier)) == 2
    await age(world, identifier, 31)
    await sweep(world)
    assert len(await told(world, identifier)) == 3


async def test_an_answer_to_a_repeated_question_is_no_progress(world: World) -> None:
    """The read model counts events; only what they have done shortens the pause again."""
    identifier = await world.create()
    await age(world, identifier, 31)
    await sweep(world)
    await world.fold(identifier, going(StepStatus.PENDING, StepStatus.NOT_STARTED, done=0), version=4)
    for pause, events in ((31, 2), (30, 3)):
        await age(world, identifier, pause)
        await sweep(world)
        assert len(await told(world, identifier)) == events


async def ends_now(world: World, identifier: str) -> None:
    """The run becomes active at this moment."""
    await world.finish(identifier)
    (row,) = await world.rows("SELECT requested_at FROM projects WHERE identifier = $1", identifier)
    await world.projector.execute(
        "UPDATE status_projector.project_status SET started_at = $2, completed_at = now() WHERE identifier = $1",
        identifier,
        row.requested_at,
    )


async def test_who_stands_in_line_is_not_asked_for_again(world: World) -> None:
    """While a tenant's earlier runs become active and none asked for later has, the line is only long."""
    tenant = await world.tenant()
    earlier, lost, waiting = [await world.create(tenant) for _ in range(3)]
    elsewhere = await world.create(await world.tenant())
    for seconds, identifier in ((60, earlier), (50, lost), (40, waiting), (40, elsewhere)):
        await age(world, identifier, seconds)
    await ends_now(world, earlier)
    await sweep(world)
    assert [len(await told(world, each)) for each in (lost, waiting, elsewhere)] == [1, 1, 2]
    later = await world.create(tenant)
    await age(world, later, 45)
    await ends_now(world, later)
    await sweep(world)
    assert [len(await told(world, each)) for each in (lost, waiting)] == [2, 1]


async def test_a_line_that_has_stopped_is_asked_for_again(world: World) -> None:
    """Nobody has become active for a while, so all of it may be lost: every run is driven from the database alone."""
    earlier, waiting = await world.create(), await world.create()
    await age(world, earlier, 90)
    await age(world, waiting, 80)
    await ends_now(world, earlier)
    await sweep(world)
    assert len(await told(world, waiting)) == 1
    await world.projector.execute(
        "UPDATE status_projector.project_status SET completed_at = now() - interval '31 s' WHERE identifier = $1",
        earlier,
    )
    await sweep(world)
    assert len(await told(world, waiting)) == 2


async def test_the_longest_pause_holds_in_line_too(world: World) -> None:
    """However lively the others are, no run waits for ever."""
    earlier, waiting = await world.create(), await world.create()
    await age(world, earlier, 30 * 2**DOUBLINGS + 20)
    await age(world, waiting, 30 * 2**DOUBLINGS + 10)
    await ends_now(world, earlier)
    await sweep(world)
    assert len(await told(world, waiting)) == 2


async def test_what_has_ended_is_closed(world: World) -> None:
    """It is never asked for again, and lists find its status by index."""
    identifier = await world.create()
    await world.finish(identifier, Status.FAILED)
    await age(world, identifier, 100)
    await sweep(world)
    (row,) = await world.rows("SELECT open, status FROM projects WHERE identifier = $1", identifier)
    assert (row.open, row.status) == (False, "failed")
    assert len(await told(world, identifier)) == 1


async def test_a_run_fails_at_its_deadline(world: World) -> None:
    """ProvisioningFailed with code deadline, for the step that it stands at; once until the next pause is over."""
    identifier = await world.create()
    await age(world, identifier, world.parts.settings.run_deadline_seconds + 1)
    await sweep(world)
    await sweep(world)
    event = (await world.outbox(identifier))[-1]
    assert await told(world, identifier) == [("ProjectCreated", 1), ("ProvisioningFailed", 1)]
    data = event["data"]
    assert (data["code"], data["step"], data["retryable"], data["user_id"]) == ("deadline", "link", True, None)


@pytest.mark.parametrize(
    "spoil",
    [
        "UPDATE projects SET command = '{}' WHERE identifier = $1",
        "UPDATE participants SET name = repeat('x', 5000000) WHERE identifier = $1",
    ],
    ids=["no command", "larger than a message"],
)
async def test_a_run_of_which_nothing_can_be_told_keeps_no_other_from_its_end(world: World, spoil: str) -> None:
    """Its own row is left alone until its deadline, when it fails as any other."""
    late, spoilt = await world.create(), await world.create()
    await world.rows(spoil, spoilt)
    await age(world, late, world.parts.settings.run_deadline_seconds + 1)
    await age(world, spoilt, 31)
    await sweep(world)
    assert (await told(world, late))[1:] == [("ProvisioningFailed", 1)]
    assert len(await told(world, spoilt)) == 1
    await age(world, spoilt, world.parts.settings.run_deadline_seconds)
    await sweep(world)
    assert (await told(world, spoilt))[1:] == [("ProvisioningFailed", 1)]


async def test_a_removal_whose_last_word_was_lost_is_finished(world: World) -> None:
    """The read model knows that the link is gone though LinkRemoved never came here: the project goes too."""
    identifier = await world.create()
    await world.client.delete(f"/admin/v1/projects/{identifier}", headers=world.admin)
    await world.fold(identifier, ended(Status.SUSPENDED, Kind.REMOVE), version=9)
    await sweep(world)
    assert (await world.get(f"/{identifier}/status")).status_code == 404
    assert not await world.rows("SELECT 1 FROM participants WHERE identifier = $1", identifier)


async def test_a_failed_removal_stays(world: World) -> None:
    """It can be retried."""
    identifier = await world.create()
    await world.client.delete(f"/admin/v1/projects/{identifier}", headers=world.admin)
    await world.finish(identifier, Status.FAILED, Kind.REMOVE)
    await sweep(world)
    assert (await world.status(identifier))["status"] == "failed"
