"""That the oracle notices: each check has at least one world in which it, and no other, complains."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from tests.chaos import report
from tests.chaos.history import History, Sent, Strike
from tests.chaos.observed import Access, CloudProject, Credential, Seen, World, cloud_of
from tests.chaos.oracle import CHECKS, judge
from tests.chaos.scale import PLAIN_ROLE

ANN: Mapping[str, Any] = {"id": 1, "email": "Ann@x.test", "name": "Ann", "role": "member"}
ACCESS = Access(PLAIN_ROLE, frozenset({"AllowAll"}), ("key-1",))
ACTIVE, SUSPENDED = "A", "S"
SENT = (
    Sent("create", 0, 1, 201, body={"name": "a", "user_ids": [1]}, answer={"identifier": ACTIVE}),
    Sent("create", 0, 1, 201, body={"name": "s", "user_ids": [1]}, answer={"identifier": SUSPENDED}),
    Sent("suspend", 2, 3, 202, project=SUSPENDED, answer={"run": 2}),
)


def seen(name: str, status: str, requests: Sequence[str], cloud: CloudProject) -> Seen:
    """A project that is as it should be."""
    user = {**ANN, "reasons": ["explicit"], "status": "synced" if status == "active" else "revoked"}
    percent = 100 if status == "active" else 0
    return Seen(
        {"name": name, "tenant_id": None, "status": status},
        {"tenant_id": None, "status": status, "users": [user]},
        {
            "status": status,
            "run": len(requests),
            "failure": None,
            "error": None,
            "progress": {"percent": percent, "completed": 3 if percent else 0, "total": 3},
            "data": {"status": status},
            "project": {
                "status": status,
                "users": {"local": [user]},
                "provisioning_progress": [{"status": "completed"}],
            },
        },
        [
            {"id": f"{name}{run}", "run": run, "type": type_, "time": f"2026-01-01T00:00:0{run}Z", "message": "…"}
            for run, type_ in reversed(list(enumerate(requests, start=1)))
        ],
        (cloud,),
        {1: Credential(200, True, "ann@x.test", cloud.id)},
        {"in_sync": True, "drift": []},
    )


WORLD = World(
    {
        ACTIVE: seen("a", "active", ["ProjectCreated"], CloudProject("c1", {"ann@x.test": ACCESS})),
        SUSPENDED: seen("s", "suspended", ["ProjectCreated", "SuspensionRequested"], CloudProject("c2")),
    },
    2,
    {1: ANN},
)


def with_(identifier: str, **changes: Any) -> World:
    """The world with one project otherwise."""
    return replace(WORLD, seen={**WORLD.seen, identifier: replace(WORLD.seen[identifier], **changes)})


def access(identifier: str, **by_name: Access) -> World:
    """The world with other access in one project, by the name before the @."""
    (cloud,) = WORLD.seen[identifier].cloud
    return with_(identifier, cloud=(replace(cloud, access={f"{name}@x.test": has for name, has in by_name.items()}),))


def detail(**changes: Any) -> World:
    return with_(ACTIVE, detail={**WORLD.seen[ACTIVE].detail, **changes})


def status(identifier: str = ACTIVE, **changes: Any) -> World:
    return with_(identifier, status={**WORLD.seen[identifier].status, **changes})


def project(**changes: Any) -> World:
    return status(project={**WORLD.seen[ACTIVE].status["project"], **changes})


def events(*changes: Mapping[str, Any]) -> World:
    (event,) = WORLD.seen[ACTIVE].events
    return with_(ACTIVE, events=[{**event, **each} for each in changes])


def credential(*given: Credential) -> World:
    return with_(ACTIVE, credentials=dict(enumerate(given, start=1)))


def failed(reason: str | None) -> World:
    words = {"status": "failed", "error": reason, "failure": reason, "data": {"status": "failed"}}
    progress = {"percent": 50, "completed": 1, "total": 3}
    there = WORLD.seen[ACTIVE]
    return with_(
        ACTIVE,
        listed={**there.listed, "status": "failed"},
        detail={**there.detail, "status": "failed"},
        status={**there.status, **words, "progress": progress, "project": {"status": "failed"}},
    )


def keyed(raw: bytes, identifier: str = ACTIVE, name: str = "create") -> Sent:
    return replace(SENT[0], name=name, headers={"Idempotency-Key": "k"}, answer={"identifier": identifier}, raw=raw)


def changed(field: str, value: str) -> Sent:
    return Sent(f"user-{field}", 5, 6, 200, user=1, body={field: value})


def renamed(identifier: str, name: str) -> World:
    return with_(identifier, listed={**WORLD.seen[identifier].listed, "name": name})


ONLY_SUSPENDED = replace(WORLD, seen={SUSPENDED: WORLD.seen[SUSPENDED]}, total=1)
LEAKED = replace(ONLY_SUSPENDED, strangers={ACTIVE: (CloudProject("c1"),)})
UNASKED = replace(WORLD, seen={**WORLD.seen, "X": renamed(ACTIVE, "x").seen[ACTIVE]}, total=3)
DELETED = Sent("delete", 5, 6, 202, project=ACTIVE, answer={"run": 2})
DAN: Mapping[str, Any] = {"id": 2, "email": "dan@x.test", "name": "Dan", "role": "admin"}
GONE = Sent("user-remove", 5, 6, 200, user=2)

(ANSWERS, KEYS, THERE, ONCE, USERS, ENDS, SAME, TRUTH, EVENTS, WHO, HAVE, UNINVITED, VERIFY, OPEN, LEFT) = CHECKS
Wrong = tuple[str, World, Sequence[Sent]]

WRONG: Mapping[str, Wrong] = {
    "a 500": (ANSWERS, WORLD, [Sent("patch", 1, 2, 500, project=ACTIVE)]),
    "two projects of a key": (KEYS, WORLD, [keyed(b"1"), keyed(b"1", SUSPENDED)]),
    "a replay in other bytes": (KEYS, WORLD, [keyed(b"1"), keyed(b"2")]),
    "a key for another body": (KEYS, WORLD, [keyed(b"1"), keyed(b"1", name="create-other-body")]),
    "a lost project": (THERE, ONLY_SUSPENDED, []),
    "a deleted one that is there": (THERE, WORLD, [DELETED]),
    "one that nobody asked for": (THERE, UNASKED, []),
    "a deleted one's cloud project": (THERE, LEAKED, [DELETED]),
    "a wrong total": (THERE, replace(WORLD, total=3), []),
    "a removed user": (THERE, replace(WORLD, directory={1: ANN, 2: DAN}), [GONE]),
    "two cloud projects": (ONCE, with_(SUSPENDED, cloud=(CloudProject("c2"), CloudProject("c3"))), []),
    "two of a name": (ONCE, renamed(SUSPENDED, "A"), []),
    "two accounts": (ONCE, replace(WORLD, doubled_accounts=("ann@x.test",)), []),
    "an effect made twice": (ONCE, replace(WORLD, doubled_effects=1), []),
    "an e-mail that was not taken over": (USERS, WORLD, [changed("email", "new@x")]),
    "a role that was not taken over": (USERS, WORLD, [changed("role", "admin")]),
    "a suspension that did not happen": (ENDS, WORLD, [replace(SENT[2], project=ACTIVE)]),
    "a failure": (ENDS, failed("no"), []),
    "a failure without a reason": (ENDS, failed(None), []),
    "a failure on a cloud that is well": (ENDS, replace(WORLD, refailed={ACTIVE: "no"}), []),
    "another status in the list": (SAME, with_(ACTIVE, listed={**WORLD.seen[ACTIVE].listed, "status": "failed"}), []),
    "another status in the detail": (SAME, detail(status="pending"), []),
    "another status in data": (SAME, status(data={"status": "pending"}), []),
    "99 % of what is active": (TRUTH, status(progress={"percent": 99, "completed": 2, "total": 3}), []),
    "100 % of what is suspended": (TRUTH, status(SUSPENDED, progress={"percent": 100, "completed": 3, "total": 3}), []),
    "more done than there is": (TRUTH, status(progress={"percent": 100, "completed": 4, "total": 3}), []),
    "an open step": (TRUTH, project(provisioning_progress=[{"status": "pending"}]), []),
    "an open user": (TRUTH, project(users={"local": [{**ANN, "status": "pending"}]}), []),
    "a user too few": (TRUTH, project(users={"local": []}), []),
    "an event twice": (EVENTS, events({}, {}), []),
    "events out of order": (EVENTS, events({"id": "1"}, {"time": "2026-01-02T00:00:00Z"}), []),
    "a gap of runs": (EVENTS, events({"run": 2}), []),
    "a run of two kinds": (EVENTS, events({"id": "1", "type": "ProvisioningRequested"}, {}), []),
    "a participant who was removed": (WHO, replace(WORLD, directory={}), []),
    "a stale participant": (WHO, replace(WORLD, directory={1: {**ANN, "role": "admin"}}), []),
    "members who were not taken over": (
        WHO,
        replace(WORLD, directory={1: ANN, 2: DAN}),
        [Sent("members", 5, 6, 202, project=ACTIVE, body={"user_ids": [2]}, answer={"run": 2})],
    ),
    "another tenant": (WHO, detail(tenant_id=3), []),
    "no cloud project": (HAVE, with_(ACTIVE, cloud=(), credentials={1: Credential(410)}), []),
    "no grant": (HAVE, access(ACTIVE, ann=replace(ACCESS, role=None)), []),
    "no policy": (HAVE, access(ACTIVE, ann=replace(ACCESS, policies=frozenset())), []),
    "no key": (HAVE, access(ACTIVE, ann=replace(ACCESS, keys=())), []),
    "two keys": (HAVE, access(ACTIVE, ann=replace(ACCESS, keys=("key-1", "key-2"))), []),
    "another role": (HAVE, access(ACTIVE, ann=replace(ACCESS, role="tenant_admin")), []),
    "somebody uninvited": (UNINVITED, access(ACTIVE, ann=ACCESS, dan=Access(keys=("key-2",))), []),
    "a key where it is suspended": (UNINVITED, access(SUSPENDED, ann=Access(keys=("key-1",))), []),
    "a policy where it is suspended": (UNINVITED, access(SUSPENDED, ann=Access(policies=frozenset({"AllowAll"}))), []),
    "a grant where it is suspended": (UNINVITED, access(SUSPENDED, ann=Access(PLAIN_ROLE)), []),
    "drift": (VERIFY, with_(ACTIVE, verification={"in_sync": False, "drift": ["Ann"]}), []),
    "no credential": (OPEN, credential(Credential(404)), []),
    "a credential that does not open": (OPEN, credential(Credential(200)), []),
    "a credential of another user": (OPEN, credential(Credential(200, True, "dan@x.test", "c1")), []),
    "a credential of another project": (OPEN, credential(Credential(200, True, "ann@x.test", "c2")), []),
    "messages left": (LEFT, replace(WORLD, left={"outboxes and queues": 1}), []),
    "a parked message": (LEFT, replace(WORLD, parked=1), []),
}  # fmt: skip


def complaints(sent: Sequence[Sent], world: World) -> Mapping[str, Sequence[object]]:
    return {sentence: found for sentence, found in judge(sent, world).items() if found}


def test_what_is_as_it_should_be_is_not_complained_of() -> None:
    """Replays, a credential that was read before, and a removed user whom somebody had named are as they should be."""
    fine = [keyed(b"1"), keyed(b"1"), Sent("patch", 1, 2, 503, project=ACTIVE)]
    assert complaints(SENT, WORLD) == {}
    assert complaints([*SENT, *fine], WORLD) == {}
    assert complaints(SENT, credential(Credential(410))) == {}
    named = Sent("members", 5, 6, 202, project=ACTIVE, body={"user_ids": [1, 9]}, answer={"run": 2})
    assert complaints([*SENT, named], WORLD) == {}


@pytest.mark.parametrize("name", WRONG)
def test_each_kind_of_violation_is_noticed(name: str) -> None:
    """By the check whose sentence it breaks, and by no other."""
    sentence, world, further = WRONG[name]
    assert list(complaints([*SENT, *further], world)) == [sentence]


def test_every_check_can_fail() -> None:
    """A check that nothing violates is none."""
    assert {sentence for sentence, _, _ in WRONG.values()} == set(CHECKS)


def test_a_violation_is_told_with_its_projects_story() -> None:
    """What was asked of it, what broke meanwhile and its events, once however many violations it has."""
    world = access(ACTIVE)
    history = History([*SENT, changed("email", "new@x")], [Strike(1.5, "user-syncer killed")])
    told = "\n".join(report.stories(judge(SENT, world), history, world))
    assert told.count("the story of A") == 1
    assert all(
        words in told
        for words in ("user 1 lacks access", "create", "user-syncer killed", "user-email", "ProjectCreated")
    )
    assert "suspend" not in told


def test_the_clouds_objects_are_read_by_mark_and_address() -> None:
    """Grants, policies and keys of one account come together; an account of one name twice in a region is told of."""
    place = {"project_id": "c1", "user_id": "u1"}
    users = [{"id": user, "name": "Ann@X.test", "domain_id": "d"} for user in ("u1", "u2")]
    cloud = cloud_of(
        {
            "projects": [{"id": "c1", "mark": "uca:A"}],
            "users": users,
            "grants": [{**place, "role": PLAIN_ROLE}],
            "policies": [{**place, "policy": "AllowAll"}],
            "keys": [{**place, "access_key": "key-1"}],
        }
    )
    assert cloud.projects == {"A": (CloudProject("c1", {"ann@x.test": ACCESS}),)}
    assert cloud.doubled_accounts == ("ann@x.test",)
