"""Who may watch what, and for how long."""

from collections.abc import Iterable

import pytest
from project_api.push import protocol
from project_api.push.news import UPDATED
from project_api.push.registry import Channel
from project_api.push.testing import ACTIVE, LINKING, SYNCING, Bearer, Replica, Stage, client, watching


async def test_nobody_hears_of_another_tenants_project(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """Another tenant's people get no signature, no subscription with a borrowed one, and not one frame."""
    one, _ = replicas
    project = await stage.project(tenant_id=5)
    stranger = bearer(role="tenant_admin", user_id=70, tenant_id=6)
    async with client(one) as owner, client(one) as other, one.http as http:
        channel = f"private-projects.{project}"
        fields = {"socket_id": other.socket_id, "channel_name": channel}
        refused = await http.post("/broadcasting/auth", data=fields, headers=stranger)
        assert (refused.status_code, refused.json()["success"]) == (403, False)
        await owner.subscribe(one, project, bearer(role="tenant_admin", user_id=50, tenant_id=5))
        fields["socket_id"] = owner.socket_id
        borrowed = await http.post("/broadcasting/auth", data=fields, headers=bearer())
        await other.say("pusher:subscribe", auth=borrowed.json()["auth"], channel=channel)
        assert (await other.hear())["data"]["code"] == 4009
        policy = one.push.policy
        forged = protocol.sign(policy.key, policy.secret, other.socket_id, channel)
        await other.say("pusher:subscribe", auth=forged, channel=channel)
        assert (await other.hear())["data"]["code"] == 4009
        stage.tell(project, 3, SYNCING, "link")
        assert (await owner.hear())["event"] == UPDATED
        assert await other.hears_nothing_before_pong()


async def test_a_member_who_is_taken_out_hears_no_more(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """The first news of the run that took a member out ends their channel instead of being told; others go on."""
    one, _ = replicas
    project = await stage.project(members=(81, 82))
    member, gone = (bearer(role="member", user_id=user, tenant_id=5) for user in (81, 82))
    async with watching(one, project, member) as stays, watching(one, project, gone) as leaves:
        await stage.change("DELETE FROM participants WHERE identifier = $1 AND user_id = 82", project)
        await stage.change("UPDATE projects SET run = 2 WHERE identifier = $1", project)
        stage.tell(project, 2, SYNCING, "link", run=2)
        assert (await stays.hear())["data"]["run"] == 2
        ended = await leaves.hear()
        assert (ended["event"], ended["data"]["code"]) == ("pusher:error", 4009)
        assert ended["channel"] == f"private-projects.{project}"
        assert await leaves.hears_nothing_before_pong()
        async with one.http as http:
            fields = {"socket_id": leaves.socket_id, "channel_name": ended["channel"]}
            assert (await http.post("/broadcasting/auth", data=fields, headers=gone)).status_code == 403


@pytest.mark.parametrize("role", ["tenant_admin", "member"])
async def test_a_tenants_people_watch_what_has_no_tenant_while_it_names_them(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer, role: str
) -> None:
    """Whom it does not name, a project of another tenant or who is no participant any more: nobody of these hears."""
    one, _ = replicas
    named = bearer(role=role, user_id=82, tenant_id=6)
    project, elsewhere = await stage.project(tenant_id=None, members=(81, 82)), await stage.project(members=(82,))
    async with watching(one, project, named) as watcher, client(one) as stranger, one.http as http:
        for refused, whose in ((project, bearer(role=role, user_id=83, tenant_id=6)), (elsewhere, named)):
            fields = {"socket_id": stranger.socket_id, "channel_name": f"private-projects.{refused}"}
            assert (await http.post("/broadcasting/auth", data=fields, headers=whose)).status_code == 403
        stage.tell(project, 2, LINKING, "link", run=2)  # at a new run everybody's right is asked for again
        assert (await watcher.hear())["data"]["run"] == 2
        await stage.change("DELETE FROM participants WHERE identifier = $1 AND user_id = 82", project)
        stage.tell(project, 3, SYNCING, "link", run=3)
        assert (await watcher.hear())["data"]["code"] == 4009


async def test_a_refused_token_ends_its_channels(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer
) -> None:
    """A user who was removed or changed is found at the next look, whatever projects they watch."""
    one, _ = replicas
    project = await stage.project()
    async with watching(one, project, bearer(user_id=90)) as watcher:
        await stage.change("INSERT INTO refused_tokens (user_id, issued_before) VALUES (90, 'infinity')")
        await one.push.look_again()
        assert (await watcher.hear())["data"]["code"] == 4009


async def test_the_socket_ends_with_its_token(stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer) -> None:
    """A socket whose token has ended is closed with a code on which clients come back, and ask anew."""
    one, _ = replicas
    project = await stage.project()
    async with client(one) as watcher:
        await watcher.subscribe(one, project, bearer())
        socket = one.push.registry.sockets[watcher.socket_id]
        ((name, principal),) = socket.watching.items()
        socket.watching[name] = type(principal)(1, "admin", None, "", expires_at=1.0)
        await one.push.attend()
        assert 4100 <= await watcher.goodbye() < 4200


@pytest.mark.parametrize("way", ["somebody subscribes", "the broker came back"])
async def test_a_member_who_is_taken_out_hears_no_more_by_whatever_way_the_run_is_seen(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer, way: str
) -> None:
    """The run's news may be lost, or come second."""
    one, _ = replicas
    project = await stage.project(members=(81, 82))
    await stage.show(project, 2, LINKING)
    async with (
        watching(one, project, bearer(role="member", user_id=82, tenant_id=5)) as leaves,
        watching(one, project, bearer()) as stays,
        client(one) as later,
    ):
        await stage.change("DELETE FROM participants WHERE identifier = $1 AND user_id = 82", project)
        await stage.change("UPDATE projects SET run = 2 WHERE identifier = $1", project)
        await stage.show(project, 2, SYNCING, run=2)
        if way == "somebody subscribes":
            await later.subscribe(one, project, bearer())
        else:
            one.push.reconnected()
        assert (await stays.hear())["data"]["run"] == 2
        stage.tell(project, 3, ACTIVE, "users", "active", run=2)
        ended = await leaves.hear()
        assert (ended["event"], ended["data"]["code"]) == ("pusher:error", 4009)
        assert await leaves.hears_nothing_before_pong()


async def test_a_member_who_is_taken_out_while_they_join_is_refused(
    stage: Stage, replicas: tuple[Replica, Replica], bearer: Bearer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A still newer run comes while it is looked who may hear of the one that they bring the news of."""
    one, _ = replicas
    project = await stage.project(members=(81, 82))
    await stage.show(project, 2, LINKING)
    async with watching(one, project, bearer()) as stays, client(one) as later:
        await stage.change("UPDATE projects SET run = 2 WHERE identifier = $1", project)
        await stage.show(project, 2, SYNCING, run=2)
        look = one.push._expel_outsiders

        async def meanwhile(channels: Iterable[Channel]) -> None:
            monkeypatch.setattr(one.push, "_expel_outsiders", look)
            await look(channels)
            await stage.change("DELETE FROM participants WHERE identifier = $1 AND user_id = 82", project)
            await stage.change("UPDATE projects SET run = 3 WHERE identifier = $1", project)
            await stage.show(project, 3, SYNCING, run=3)
            stage.tell(project, 3, SYNCING, "users", run=3)
            assert (await stays.hear())["data"]["run"] == 3

        monkeypatch.setattr(one.push, "_expel_outsiders", meanwhile)
        answer = await later.subscribe(one, project, bearer(role="member", user_id=82, tenant_id=5))
    assert answer["event"] == "pusher:error"
