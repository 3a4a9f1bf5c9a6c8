"""What is zCompute's own: list shapes, signed requests, keys that do not say their project, reading user by user."""

import re
from dataclasses import replace
from typing import Any

import pytest
from clouds import zadara_keys
from clouds.answers import Answer
from clouds.errors import Invalid, NotFound
from clouds.port import CloudUser, ProjectSpec
from clouds.providers import Clouds
from clouds.regions import RegionsError


@pytest.mark.parametrize("shape", ["bare", "wrapped"])
async def test_both_list_shapes_are_read(simulated: Any, simulator: Any, shape: str) -> None:
    """A bare list and one inside an object mean the same."""
    await simulator.behave(list_shape=shape)
    await simulated.link()
    await simulated.run([simulated.user(1)])
    assert all(change.unchanged for change in await simulated.plan([simulated.user(1)]))


async def test_a_page_of_the_gateway_is_a_not_found(simulated: Any) -> None:
    """A path that the cloud does not have is answered with HTML, and the error carries none of it."""
    with pytest.raises(NotFound) as raised:
        await simulated.cloud._list("odd", "things", "/identity/no-such-thing")
    assert "<" not in str(raised.value)


async def test_access_is_not_taken_for_gone_where_a_gateway_lost_the_way(simulated: Any) -> None:
    """A path of the settings that is wrong ends a removal with an error, and not with access that stays unseen."""
    await simulated.link()
    await simulated.run([simulated.user(1)])
    options = {"policy_path": "/elsewhere/{project}/{user}/{policy}"}
    region = simulated.clouds.region("sim").model_copy(update={"options": options})
    await simulated.clouds.aclose()
    simulated.clouds = Clouds({"sim": region})
    (change,) = await simulated.plan([])
    assert change.detach_policies
    with pytest.raises(NotFound):
        await simulated.cloud.sync_user(simulated.project_id, change)


async def test_requests_for_keys_can_be_signed(
    simulated: Any, simulator: Any, authenticates: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With an access key of our account, SigV4 takes the token's place."""
    monkeypatch.setenv("SIGNING_SECRET", simulator.settings.secret_key)
    options = {"sign_access_key": simulator.settings.access_key, "sign_secret_env": "SIGNING_SECRET"}
    region = simulated.clouds.region("sim").model_copy(update={"options": options})
    simulated.clouds = Clouds({"sim": region})
    await simulated.link()
    await simulated.run([simulated.user(1)])
    assert await authenticates(simulated, 1)
    await simulated.run([])
    assert (await simulator.stats())["objects"]["active_keys"] == 0
    await simulated.clouds.aclose()


async def test_a_signing_key_without_its_secret_is_refused_at_the_start(simulated: Any) -> None:
    """The setting is named, before anything is called."""
    region = simulated.clouds.region("sim").model_copy(update={"options": {"sign_access_key": "AKIAX"}})
    with pytest.raises(RegionsError, match="sign_secret_env"):
        Clouds({"sim": region})


@pytest.mark.parametrize(("ours", "found"), [(False, {"AKIA00000001"}), (True, {"AKIA00000001", "AKIA00000003"})])
async def test_a_key_that_does_not_say_its_project_is_left_alone(
    simulated: Any, monkeypatch: pytest.MonkeyPatch, ours: bool, found: set[str]
) -> None:
    """It may be another project's; a setting says where the cloud lists one project's keys only."""
    member = "<member><AccessKeyId>AKIA0000000{}</AccessKeyId>{}</member>"
    scoped = [member.format(1, "<ProjectId>p1</ProjectId>"), member.format(2, "<ProjectId>p2</ProjectId>")]
    body = "".join([*scoped, member.format(3, "")]).encode()
    keys = simulated.cloud._keys
    monkeypatch.setattr(keys, "_unscoped_are_ours", ours)

    async def answer(*_: Any, **__: Any) -> Answer:
        return Answer(200, {}, body)

    monkeypatch.setattr(keys, "_query", answer)
    assert await simulated.cloud.list_keys("p1", CloudUser("u1", "ann@example.com")) == found


async def test_a_list_of_keys_that_is_cut_is_refused(simulated: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who leaves would else keep the key that is missing from it."""
    body = b"<member><AccessKeyId>AKIA00000001</AccessKeyId></member><IsTruncated>true</IsTruncated><Marker>m</Marker>"

    async def answer(*_: Any, **__: Any) -> Answer:
        return Answer(200, {}, body)

    monkeypatch.setattr(simulated.cloud._keys, "_query", answer)
    with pytest.raises(Invalid, match="short"):
        await simulated.cloud.list_keys("p1", CloudUser("u1", "ann@example.com"))


async def test_drift_is_seen_where_users_are_read_one_by_one(simulated: Any) -> None:
    """A grant and a key removed behind our back show once the user is named, and not before."""
    await simulated.link()
    desired = [simulated.user(1), simulated.user(2)]
    await simulated.run(desired)
    user = CloudUser(simulated.records[1].provider_user_id, desired[0].email.lower())
    await simulated.cloud.revoke_key(simulated.project_id, user, simulated.keys[1].id)
    await simulated.cloud.revoke_role(simulated.project_id, user.id, desired[0].role)
    assert all(change.unchanged for change in await simulated.plan(desired))
    first, second = await simulated.plan(desired, *(each.email for each in desired))
    assert first.actions == ("grant_role", "issue_key")
    assert second.unchanged


async def test_a_refused_user_fails_alone_and_for_good(simulated: Any, simulator: Any) -> None:
    """The cloud's 400 names the reason, and the others are synced."""
    await simulated.link()
    desired = [simulated.user(1), simulated.user(2)]
    await simulator.behave(fail_emails=[desired[0].email.lower()])
    refused, synced = await simulated.run(desired)
    assert isinstance(refused, Invalid)
    assert not refused.retryable
    assert synced.key is not None


async def test_keys_that_do_not_say_their_project_are_no_sign_of_missing_ones(
    simulated: Any, simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is recorded counts then: nothing is issued again, and who leaves loses the key that they were given."""
    monkeypatch.setattr(zadara_keys, "_PROJECT", re.compile(rb"<Never>(there)"))
    await simulated.link()
    one = simulated.user(1)
    await simulated.run([one])
    assert all(change.unchanged for change in await simulated.plan([one], one.email.lower()))
    await simulated.sync(await simulated.plan([], one.email.lower()))
    assert (await simulator.stats())["objects"]["active_keys"] == 0


async def test_a_role_that_another_project_has_changed_is_taken_too(simulated: Any, simulator: Any) -> None:
    """A user has one role in all projects; left behind, it would count again with the next key."""
    other = type(simulated)(simulated.clouds, simulated.code, ProjectSpec(f"{simulated.spec.identifier}B", "Other"))
    one = simulated.user(1)
    for each in (simulated, other):
        await each.link()
        await each.run([one])
    await simulated.run([replace(one, role="tenant_admin")])
    await other.run([])
    grants = (await simulator.objects())["grants"]
    assert [each for each in grants if each["project_id"] == other.project_id] == []
