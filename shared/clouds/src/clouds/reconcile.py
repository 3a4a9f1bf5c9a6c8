"""The difference between what participants should have and what the cloud has: pure, and the same for every use.

A run carries it out, a preview shows it, and verify reports whatever is left of it as drift.
"""

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping
from dataclasses import replace

from clouds.naming import cloud_user_name
from clouds.port import Capabilities, DesiredUser, KeyChange, Snapshot, UserChange, UserRecord

NOTHING: frozenset[str] = frozenset()


def plan(
    desired: Iterable[DesiredUser],
    snapshot: Snapshot,
    records: Mapping[int, UserRecord],
    capabilities: Capabilities,
) -> tuple[UserChange, ...]:
    """One change per desired user, in order, then one per record whose user is no longer desired (who leaves).

    A participant has exactly one of the roles that we manage; any other that somebody gave them is left alone. To sync
    some users only, pass only their records.
    """
    wanted = tuple(desired)
    staying = {user.user_id for user in wanted}
    view = _View(snapshot, capabilities, wanted, records.values())
    joining = tuple(view.stay(user, records.get(user.user_id)) for user in wanted)
    return joining + tuple(view.leave(record) for user_id, record in records.items() if user_id not in staying)


def names_of(record: UserRecord) -> tuple[str, ...]:
    """The cloud accounts that a user may have."""
    return tuple(dict.fromkeys(cloud_user_name(each.email) for each in (record, *record.former)))


def names_to_read(
    records: Iterable[UserRecord], capabilities: Capabilities, reread: Collection[int] = ()
) -> frozenset[str]:
    """For ``read_snapshot``'s ``each_of``, where no list tells all: the accounts of users of whom our records may be
    wrong, by what they say themselves, or by whoever asks (``reread``, user ids).
    """
    if capabilities.bulk_grants and capabilities.bulk_keys:
        return frozenset()
    doubtful = (each for each in records if each.may_have_issued or each.former or each.user_id in reread)
    return frozenset(name for record in doubtful for name in names_of(record))


def expected_calls(changes: Iterable[UserChange]) -> int:
    """Calls that carrying out the changes makes when nothing fails; reading the snapshot comes on top."""
    return sum(change.calls for change in changes)


class _View:
    """A snapshot asked about one user at a time; what it cannot say, the user's record answers."""

    def __init__(
        self,
        snapshot: Snapshot,
        capabilities: Capabilities,
        wanted: Iterable[DesiredUser],
        records: Iterable[UserRecord],
    ) -> None:
        self._snapshot = snapshot
        self._can = capabilities
        self._owners = {cloud_user_name(user.email): user.user_id for user in wanted}
        self._holders: defaultdict[str, set[int]] = defaultdict(set)
        for record in records:
            if record.role or record.may_have_issued or record.former or _recorded_keys(record):
                for name in names_of(record):
                    self._holders[name].add(record.user_id)
        self._managed = capabilities.managed_roles

    def stay(self, user: DesiredUser, record: UserRecord | None) -> UserChange:
        name = cloud_user_name(user.email)
        former = self._former(name, record)
        record = record if record and cloud_user_name(record.email) == name else None
        account = self._account_id(name, record)
        if account is None or (record and record.provider_user_id not in (None, account)):
            record = None  # removed behind our back, or made anew: whatever we recorded went with it
        roles = self._roles(name, account, record)
        policies = self._policies(name, account, record)
        if self._snapshot.policies is None and not _role_of(record) <= roles:
            policies = NOTHING  # whoever took the recorded role may have taken them too; attaching twice does no harm
        managed = self._managed | _role_of(record)
        return self._counted(
            UserChange(
                user_id=user.user_id,
                name=name,
                provider_user_id=account,
                create_user=account is None,
                grant_role=None if user.role in roles else user.role,
                attach_policies=tuple(policy for policy in self._can.policies if policy not in policies),
                keys=self._keys(
                    name, account, record, rotate=user.rotate, inherited=self._is_inherited(name, user.user_id)
                ),
                revoke_roles=tuple(sorted((roles & managed) - {user.role})),
                former=former,
            )
        )

    def leave(self, record: UserRecord) -> UserChange:
        name = cloud_user_name(record.email)
        account = self._account_id(name, record)
        gone = UserChange(
            record.user_id, name, provider_user_id=account, leaves=True, former=self._former(name, record)
        )
        if account is None:
            return self._counted(gone)
        known = _recorded_keys(record)
        if self._is_anothers(name, record.user_id):  # but the keys that this user was given still end
            return self._counted(replace(gone, keys=KeyChange(known=known, strays=tuple(sorted(known)))))
        live = self._live_keys(name, account)
        had_access = record.role is not None or bool(known) or record.may_have_issued
        return self._counted(
            replace(
                gone,
                keys=KeyChange(
                    known=known,
                    strays=tuple(sorted(known if live is None else live)),
                    look=self._can.has_keys and live is None and had_access,
                ),
                revoke_roles=tuple(sorted(self._roles(name, account, record))),
                detach_policies=tuple(sorted(self._policies(name, account, record))),
            )
        )

    def _former(self, name: str, record: UserRecord | None) -> tuple[UserRecord, ...]:
        """The accounts beside ``name`` that may have access, those that are not on the cloud left out."""
        found: dict[str, UserRecord] = {}
        for each in (record, *record.former) if record else ():
            other = cloud_user_name(each.email)
            account = each.provider_user_id or self._account_id(other, None)
            if self._is_anothers(other, each.user_id):
                continue
            if other != name and account is not None and self._is_there(other):
                found.setdefault(other, replace(each, provider_user_id=account, former=()))
        return tuple(found.values())

    def _is_anothers(self, name: str, user_id: int) -> bool:
        """Another participant has this e-mail now, and with it the account."""
        return self._owners.get(name, user_id) != user_id

    def _is_inherited(self, name: str, user_id: int) -> bool:
        """Somebody else had this e-mail: keys of theirs may be left in the account."""
        return bool(self._holders.get(name, set()) - {user_id})

    def _is_there(self, name: str) -> bool:
        return self._snapshot.users is None or name in self._snapshot.users

    def _account_id(self, name: str, record: UserRecord | None) -> str | None:
        if self._snapshot.users is None:
            return record.provider_user_id if record else None
        account = self._snapshot.users.get(name)
        return account.id if account else None

    def _says(self, name: str) -> bool:
        return not self._snapshot.read_each or name in self._snapshot.read_each

    def _roles(self, name: str, account: str | None, record: UserRecord | None) -> frozenset[str]:
        if self._snapshot.roles is None or not self._says(name):
            return _role_of(record)
        return self._snapshot.roles.get(account or "", NOTHING)

    def _policies(self, name: str, account: str | None, record: UserRecord | None) -> frozenset[str]:
        if self._snapshot.policies is None or not self._says(name):
            return frozenset(self._can.policies) if _role_of(record) else NOTHING
        return self._snapshot.policies.get(account or "", NOTHING)

    def _live_keys(self, name: str, account: str | None) -> frozenset[str] | None:
        if account is None:
            return NOTHING
        if self._snapshot.keys is None or not self._says(name):
            return None
        return self._snapshot.keys.get(account, None if self._snapshot.read_each else NOTHING)

    def _keys(
        self, name: str, account: str | None, record: UserRecord | None, *, rotate: bool, inherited: bool
    ) -> KeyChange:
        if not self._can.has_keys:
            return KeyChange()
        live = self._live_keys(name, account)
        known = _recorded_keys(record)
        there = known if live is None else known & live
        current = record.key_id if record and record.key_id in there else None
        issue = rotate or current is None
        replaced = (current,) if issue and current else ()
        retired = record.retired_key_ids if record else ()
        return KeyChange(
            issue=issue,
            current=current,
            known=known,
            strays=tuple(sorted((live or NOTHING) - known)),
            look=live is None and (inherited or (record is not None and record.may_have_issued)),
            retire=tuple(key for key in (*retired, *replaced) if key in there),
        )

    def _counted(self, change: UserChange) -> UserChange:
        keys = change.keys
        calls = change.create_user + bool(change.grant_role) + keys.issue + keys.look
        calls += len(change.attach_policies) + len(change.revoke_roles) + len(change.detach_policies)
        calls += len(keys.strays) + len(keys.retire)
        calls += change.leaves and bool(change.revoke_roles) and self._can.one_role_per_account  # a look what is left
        calls += sum(map(self._former_calls, change.former))
        return replace(change, calls=1 if self._can.one_call_per_user and calls else calls)

    def _former_calls(self, former: UserRecord) -> int:
        keys = 1 + len(_recorded_keys(former)) if self._can.has_keys else 0
        roles = len(self._can.roles_of_former(former.role)) + self._can.one_role_per_account
        return keys + roles + len(self._can.policies)


def _role_of(record: UserRecord | None) -> frozenset[str]:
    return frozenset((record.role,)) if record and record.role else NOTHING


def _recorded_keys(record: UserRecord | None) -> frozenset[str]:
    if record is None:
        return NOTHING
    return frozenset((*record.retired_key_ids, *((record.key_id,) if record.key_id else ())))
