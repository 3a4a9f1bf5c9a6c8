"""The status of a project, for many pollers."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from contracts.events import Step
from contracts.status import Kind, Status, StepStatus, Waiting
from project_api import status
from project_api.auth.tokens import Principal
from project_api.parts import Caller
from project_api.testing import World, ended, going

SYNCING = going(StepStatus.COMPLETED, StepStatus.PENDING)


async def test_every_reading_of_the_document_is_there(world: World) -> None:
    """Top level, data and project say the same, as clients read each of them."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.fold(identifier, SYNCING)
    answer = await world.get(f"/{identifier}/status")
    found = answer.json()
    assert (answer.status_code, answer.headers["retry-after"]) == (200, "2")
    assert answer.headers["etag"].startswith('"')
    assert (found["success"], found["identifier"], found["error"], found["failure"]) == (True, identifier, None, None)
    assert found["status"] == found["data"]["status"] == found["project"]["status"] == "provisioning"
    assert found["project"]["provisioning_status"] == "provisioning"
    assert found["progress"] == found["data"]["progress"]
    assert found["progress"] == {"percent": 39, "completed": 9, "total": 23, "message": "Syncing users (8 of 21)…"}
    steps = found["data"]["provisioning_progress"]
    assert steps == found["project"]["provisioning_progress"]
    assert [(step["id"], step["status"]) for step in steps] == [
        ("link", "completed"),
        ("users", "pending"),
        ("active", "not_started"),
    ]
    assert found["data"]["id"] == found["project"]["id"] == identifier
    assert found["data"]["provisioning_completed_at"] is None
    assert (found["project"]["region"], found["project"]["tenant_id"]) == ("region-1", tenant.id)
    assert (found["project"]["availability_zone"], found["project"]["summary"]) == (None, [])
    assert {"id", "name", "email", "role", "status"} <= set(found["project"]["users"]["local"][0])
    assert found["actions"]["can_cancel"] is True


async def test_the_documents_own_polling_code_works(world: World) -> None:
    """create, then poll: `response.data` as axios has it (the body), or as an unwrapping client has it (its data)."""
    identifier = await world.create()
    for unwrap in (False, True):
        progress_messages = []
        for shown in (SYNCING, ended(Status.ACTIVE)):
            await world.fold(identifier, shown, version=3)
            response = (await world.get(f"/{identifier}/status")).json()
            seen = response["data"] if unwrap else response
            progress_messages.append(seen["progress"]["message"])
            if seen["status"] in ("active", "failed"):
                break
        assert seen["status"] == "active"
        assert progress_messages == ["Syncing users (8 of 21)…", "Done."]


async def test_a_create_is_read_at_once(world: World) -> None:
    """Before anything was folded the status is the opening picture, never a 404, and says nothing of an older run."""
    identifier = await world.create()
    found = await world.status(identifier)
    assert (found["status"], found["progress"]["percent"]) == ("provisioning", 0)
    assert [step["status"] for step in found["data"]["provisioning_progress"]] == [
        "pending",
        "not_started",
        "not_started",
    ]


async def test_no_read_is_older_than_a_command(world: World) -> None:
    """As soon as a retry was answered, the failed run before it is no longer shown."""
    identifier = await world.create()
    await world.finish(identifier, Status.FAILED)
    assert (await world.status(identifier))["error"] == "The link failed."
    assert (await world.post(f"/{identifier}/retry-provisioning")).status_code == 202
    found = await world.status(identifier)
    assert (found["status"], found["error"], found["progress"]["percent"]) == ("provisioning", None, 0)


async def test_unchanged_is_a_304(world: World) -> None:
    """A client that has the picture gets no body; any step of the run, rename or command makes it a 200 again."""
    identifier = await world.create()
    await world.fold(identifier, SYNCING)
    tag = (await world.get(f"/{identifier}/status")).headers["etag"]
    for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        unchanged = await world.get(f"/{identifier}/status", if_none_match=known)
        assert (unchanged.status_code, unchanged.content, unchanged.headers["etag"]) == (304, b"", tag)
    await world.fold(identifier, SYNCING, version=3)
    assert (await world.get(f"/{identifier}/status", if_none_match=tag)).status_code == 200


async def test_a_304_builds_nothing(world: World) -> None:
    """Neither picture nor users are fetched for a client that has them: the row comes without."""
    identifier = await world.create()
    await world.fold(identifier, SYNCING)
    caller = Caller(Principal(world.admin_id, "admin", None, "ada@uca.test"), world.parts)
    tag = (await status.fetch(caller, identifier, [])).etag
    for known in ([tag], ['"other"', tag]):
        row = await status.fetch(caller, identifier, known)
        assert (row.picture, row.users) == (None, None)


@pytest.mark.usefixtures("news_alone")
async def test_wait_answers_when_it_changes(world: World) -> None:
    """A long poll is answered by the news of a change, not by its time running out."""
    identifier = await world.create()
    tag = (await world.get(f"/{identifier}/status")).headers["etag"]
    waiting = asyncio.create_task(world.get(f"/{identifier}/status?wait=60", if_none_match=tag))
    assert await world.waiter() == identifier
    await world.fold(identifier, SYNCING)
    world.tell(identifier)
    answer = await asyncio.wait_for(waiting, 10)
    assert (answer.status_code, answer.json()["progress"]["percent"]) == (200, 39)
    assert identifier not in world.parts.changes._watches


async def test_wait_is_a_304_when_its_time_is_up(world: World) -> None:
    """Nothing changed within the time, in a final state too."""
    identifier = await world.create()
    await world.finish(identifier)
    tag = (await world.get(f"/{identifier}/status")).headers["etag"]
    answer = await world.get(f"/{identifier}/status?wait=1", if_none_match=tag)
    assert (answer.status_code, answer.headers["etag"]) == (304, tag)


@pytest.mark.parametrize("wait", ["0", "61", "x"])
async def test_wait_has_its_bounds(world: World, wait: str) -> None:
    """1 to 60 seconds."""
    identifier = await world.create()
    answer = await world.get(f"/{identifier}/status?wait={wait}")
    assert (answer.status_code, list(answer.json()["errors"])) == (422, ["wait"])


async def test_where_each_user_stands(world: World) -> None:
    """The run's own facts; who has none waits, or is being worked on while the users' step runs."""
    tenant = await world.tenant(members=4)
    identifier = await world.create(tenant)
    synced, failed, old, nothing = tenant.members
    await world.user_fact(identifier, synced, "synced")
    await world.user_fact(identifier, failed, "failed")
    await world.user_fact(identifier, old, "synced", run=0)

    async def words() -> list[str]:
        local = (await world.status(identifier))["project"]["users"]["local"]
        by_id = {user["id"]: user["status"] for user in local}
        return [by_id[each] for each in (synced, failed, old, nothing)]

    assert await words() == ["synced", "failed", "not_started", "not_started"]
    await world.fold(identifier, SYNCING)
    assert await words() == ["synced", "failed", "pending", "pending"]
    await world.finish(identifier, Status.FAILED)
    assert await words() == ["synced", "failed", "not_started", "not_started"]
    await world.post(f"/{identifier}/retry-provisioning")
    assert await words() == ["not_started"] * 4
    await world.post(f"/{identifier}/cancel")
    await world.fold(identifier, ended(Status.FAILED, Kind.CANCEL))
    assert await words() == ["synced", "failed", "synced", "not_started"]


@pytest.mark.parametrize("seconds", [-1, 60])
async def test_no_wait_ends_in_the_past(world: World, seconds: int) -> None:
    """Until when a run waits is told while that is to come; once it has come the tag is another, and it is null."""
    identifier = await world.create()
    until = datetime.now(UTC) + timedelta(seconds=60)
    delay = Waiting(step=Step.LINK, code="maintenance", message="Later.", until=until, attempt=1, tries=1)
    await world.fold(identifier, SYNCING.model_copy(update={"waiting": delay}))
    before = await world.get(f"/{identifier}/status")
    assert datetime.fromisoformat(before.json()["waiting"]["until"]) == until
    await world.projector.execute(
        "UPDATE status_projector.project_status SET picture = jsonb_set(picture, '{waiting,until}', to_jsonb($2::text))"
        " WHERE identifier = $1",
        identifier,
        (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(),
    )
    after = await world.get(f"/{identifier}/status", if_none_match=before.headers["etag"])
    assert after.status_code == (200 if seconds < 0 else 304)
    for found in (await world.status(identifier), (await world.get(f"/{identifier}")).json()["data"]):
        assert found["waiting"]["message"] == "Later."
        assert (found["waiting"]["until"] is None) is (seconds < 0)


async def test_a_step_that_takes_too_long_is_overdue(world: World) -> None:
    """Longer than its share of the 300 s: the status says which step, since when and why."""
    identifier = await world.create()
    assert (await world.status(identifier))["overdue"] is None
    await world.rows(
        "UPDATE projects SET requested_at = now() - interval '2 minutes' WHERE identifier = $1", identifier
    )
    found = (await world.status(identifier))["overdue"]
    assert (found["step"], found["share_seconds"]) == ("link", 60)
    assert found["reason"]


async def test_users_of_a_suspended_project_are_revoked(world: World) -> None:
    """Also where the cloud disabled the project as a whole, so that nothing was told of any user."""
    identifier = await world.create()
    await world.post(f"/{identifier}/suspend")
    await world.finish(identifier, Status.SUSPENDED, Kind.SUSPEND)
    users = (await world.status(identifier))["project"]["users"]["local"]
    assert {user["status"] for user in users} == {"revoked"}


async def test_a_report_after_a_cancel_changes_the_tag(world: World) -> None:
    """A user whose sync was under way has access; a page that polls with the tag it has would not learn of it."""
    tenant = await world.tenant()
    identifier = await world.create(tenant)
    await world.fold(identifier, SYNCING)
    assert (await world.post(f"/{identifier}/cancel")).status_code == 202
    await world.finish(identifier, Status.FAILED, Kind.CANCEL)
    tag = (await world.get(f"/{identifier}/status")).headers["etag"]
    assert (await world.get(f"/{identifier}/status", if_none_match=tag)).status_code == 304
    await world.user_fact(identifier, tenant.members[0], "synced", run=1)
    assert (await world.get(f"/{identifier}/status", if_none_match=tag)).status_code == 200
