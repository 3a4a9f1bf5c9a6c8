"""One user's change on a cloud that a test scripts: order, stray keys, and the limit of keys."""

from dataclasses import dataclass, field

import pytest
from clouds.apply import apply_change, settle_change
from clouds.errors import Conflict, TimeoutUnknown, Transient
from clouds.port import AccessKey, Capabilities, CloudUser, KeyChange, UserChange, UserRecord


@dataclass
class ScriptedCloud:
    """Remembers each step in order; ``failures`` are raised by the next issues of a key, which may leave one behind."""

    capabilities: Capabilities = field(default_factory=lambda: Capabilities(policies=("AllowAll",), max_keys=2))
    keys: list[str] = field(default_factory=list)
    failures: list[Exception] = field(default_factory=list)
    steps: list[str] = field(default_factory=list)
    role: str | None = None
    grants_elsewhere: list[str] = field(default_factory=list)
    """Roles that another project's runs grant, each just before a role is revoked here."""

    async def ensure_user(self, name: str) -> CloudUser:
        self.steps.append(f"user {name}")
        return CloudUser("u1", name)

    async def grant_role(self, project_id: str, user_id: str, role: str) -> None:
        self.steps.append(f"grant {role}")

    async def revoke_role(self, project_id: str, user_id: str, role: str) -> None:
        self.steps.append(f"revoke {role}")
        if self.role and self.grants_elsewhere:
            self.role = self.grants_elsewhere.pop(0)
        if self.role == role:
            self.role = None

    async def list_roles(self, project_id: str, user: CloudUser) -> frozenset[str]:
        return frozenset(filter(None, [self.role]))

    async def attach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        self.steps.append(f"attach {policy}")

    async def detach_policy(self, project_id: str, user_id: str, policy: str) -> None:
        self.steps.append(f"detach {policy}")

    async def issue_key(self, project_id: str, user: CloudUser) -> AccessKey:
        if self.failures:
            failure = self.failures.pop(0)
            if isinstance(failure, TimeoutUnknown):
                self.keys.append(f"lost{len(self.failures)}")
            raise failure
        if self.capabilities.max_keys and len(self.keys) >= self.capabilities.max_keys:
            raise Conflict("full", code="key_limit")
        self.keys.append("new")
        self.steps.append("issue")
        return AccessKey("new", "s")

    async def list_keys(self, project_id: str, user: CloudUser) -> frozenset[str]:
        self.steps.append("list")
        return frozenset(self.keys)

    async def revoke_key(self, project_id: str, user: CloudUser, key_id: str) -> None:
        self.steps.append(f"revoke key {key_id}")
        if key_id in self.keys:
            self.keys.remove(key_id)


FIRST = UserChange(
    1, "ann@example.com", None, True, "member", ("AllowAll",), KeyChange(issue=True), revoke_roles=("manager",)
)


def rotation(**keys: object) -> UserChange:
    """Ann has k1 and wants a new one."""
    change = {"issue": True, "current": "k1", "known": frozenset({"k1"}), "retire": ("k1",)} | keys
    return UserChange(1, "ann@example.com", "u1", keys=KeyChange(**change))  # type: ignore[arg-type]  # by name


async def test_the_grant_comes_before_the_key_and_the_new_role_before_the_old_one_goes() -> None:
    """A key without a role does not work, and access must not lapse between two roles."""
    cloud = ScriptedCloud()
    outcome = await apply_change(cloud, "p", FIRST)
    assert cloud.steps == ["user ann@example.com", "grant member", "attach AllowAll", "revoke manager", "issue"]
    assert outcome.key == AccessKey("new", "s")


async def test_a_key_issued_without_an_answer_is_revoked_before_the_next() -> None:
    """The cloud may have made one whose secret nobody has: it is looked for, and the known ones stay."""
    cloud = ScriptedCloud(keys=["k1"], failures=[TimeoutUnknown("cut")])
    outcome = await apply_change(cloud, "p", rotation())
    assert cloud.keys == ["k1", "new"]
    assert outcome.doubtful


@pytest.mark.parametrize(
    ("failures", "look", "doubtful"),
    [([], False, False), ([Transient("500", code="server_error")], False, False), ([], True, True)],
)
async def test_an_outcome_is_doubtful_where_a_request_may_still_be_under_way(
    failures: list[Exception], look: bool, doubtful: bool
) -> None:
    """One without an answer, or one of an attempt that left no trace; whoever was refused may be sure."""
    cloud = ScriptedCloud(keys=["k1"], failures=failures)
    assert (await apply_change(cloud, "p", rotation(look=look))).doubtful is doubtful


async def test_strays_of_an_earlier_attempt_go_first() -> None:
    """Where they cannot be read in bulk, the user's keys are listed."""
    cloud = ScriptedCloud(keys=["k1", "stray"])
    await apply_change(cloud, "p", rotation(look=True))
    assert cloud.steps == ["list", "revoke key stray", "issue"]


async def test_at_the_limit_room_is_made_by_what_nobody_uses() -> None:
    """A key unknown to us goes before the one in use, and is no reason to fail."""
    cloud = ScriptedCloud(keys=["k1", "unknown"])
    await apply_change(cloud, "p", rotation())
    assert cloud.keys == ["k1", "new"]


async def test_with_a_limit_of_one_the_key_in_use_has_to_go_first() -> None:
    """Nothing else can make room there."""
    cloud = ScriptedCloud(Capabilities(max_keys=1), keys=["k1"])
    await apply_change(cloud, "p", rotation())
    assert cloud.keys == ["new"]


@pytest.mark.parametrize("elsewhere", [[], ["manager"], ["manager", "member"]])
async def test_whichever_role_another_projects_run_has_put_in_its_place_is_taken(elsewhere: list[str]) -> None:
    """Where an account has one role in all projects, what is to be revoked may be gone, and another one there."""
    can = Capabilities(one_role_per_account=True, roles={"admin": "manager"})
    leaves = UserChange(1, "ann@example.com", "u1", revoke_roles=("member",), leaves=True)
    former = UserChange(1, "ann@example.com", "u1", former=(UserRecord(1, "old@example.com", "member", "u0"),))
    for change, carry_out in ((leaves, apply_change), (former, settle_change)):
        cloud = ScriptedCloud(can, role="member", grants_elsewhere=[*elsewhere])
        await carry_out(cloud, "p", change)
        assert cloud.role is None


async def test_a_role_that_comes_again_and_again_is_waited_for() -> None:
    """Rather than told to be gone."""
    can = Capabilities(one_role_per_account=True, roles={"admin": "manager"})
    cloud = ScriptedCloud(can, role="member", grants_elsewhere=["manager", "member"] * 3)
    leaves = UserChange(1, "ann@example.com", "u1", revoke_roles=("member",), leaves=True)
    with pytest.raises(Transient, match="again and again"):
        await apply_change(cloud, "p", leaves)


async def test_a_former_account_without_a_recorded_role_loses_any_that_we_grant() -> None:
    """An attempt without a known end may have given it one; revoking what is not there does no harm."""
    cloud = ScriptedCloud(Capabilities(roles={"admin": "manager"}))
    former = UserRecord(1, "old@example.com", None, "u0")
    await settle_change(cloud, "p", UserChange(1, "ann@example.com", "u1", former=(former,)))
    assert {step for step in cloud.steps if step.startswith("revoke ")} == {"revoke manager", "revoke member"}


async def test_settling_revokes_what_was_replaced_and_the_former_account() -> None:
    """Every key of the former account, its role and policy; never the new key."""
    cloud = ScriptedCloud(keys=["k1", "new"])
    await settle_change(cloud, "p", rotation())
    assert cloud.keys == ["new"]
    cloud = ScriptedCloud(keys=["k0", "kx"])
    former = UserRecord(1, "old@example.com", "member", "u0", "k0")
    await settle_change(cloud, "p", UserChange(1, "ann@example.com", "u1", former=(former,)))
    assert cloud.keys == []
    assert cloud.steps[-2:] == ["revoke member", "detach AllowAll"]
