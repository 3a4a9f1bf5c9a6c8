"""What a run asks of the cloud, user by user, without I/O: from the run, our records and one reading of the cloud."""

from collections.abc import Iterable, Mapping
from dataclasses import replace

from clouds.naming import cloud_user_name
from clouds.port import (
    Capabilities,
    DesiredUser,
    KeyChange,
    Snapshot,
    UserChange,
    UserRecord,
)
from clouds.reconcile import plan
from contracts.events import Participant
from contracts.status import Kind

from user_syncer.model import Member, Run
from user_syncer.orders import Order

NOBODY = Snapshot(project=None, users={})
"""The reading of a cloud project that never was: nobody has access."""


def orders_of(
    run: Run, members: Mapping[int, Member], snapshot: Snapshot, capabilities: Capabilities
) -> tuple[Order, ...]:
    """One order for each user whom the run names, and a quiet one for whoever still has access unnamed.

    A provisioning run gives its participants what they should have and takes it from ``removed``; one that suspends or
    removes takes it from everybody.
    """
    staying = run.participants if run.kind is Kind.PROVISION else ()
    leaving = run.removed if run.kind is Kind.PROVISION else run.participants
    desired = tuple(
        DesiredUser(each.user_id, each.email, capabilities.cloud_role(each.role), rotate=each.user_id in run.redo)
        for each in staying
    )
    named = {each.user_id: each for each in (*staying, *leaving)}
    records = {each.user_id: UserRecord(each.user_id, each.email) for each in leaving}
    stay = {each.user_id for each in staying}
    for member in members.values():
        if member.user_id in named or member.has_access:
            records[member.user_id] = member.record if member.user_id in stay else _leaving(member)
    changes = plan(desired, snapshot, records, capabilities)
    return tuple(
        Order(
            change,
            email=named[change.user_id].email if change.user_id in named else records[change.user_id].email,
            role=named[change.user_id].role if change.user_id in stay else "",
            quiet=run.kind is Kind.PROVISION and change.user_id not in named,
        )
        for change in changes
    )


def voided(members: Mapping[int, Member]) -> dict[int, Member]:
    """Records of a cloud project that another one replaced: the accounts are left, access went with the project."""
    return {
        user_id: replace(
            member, role=None, asked_role=None, key_id=None, retired_key_ids=(), may_have_issued=False, former=()
        )
        for user_id, member in members.items()
    }


def stray_orders(
    members: Iterable[Member], snapshot: Snapshot, participants: Iterable[Participant]
) -> tuple[Order, ...]:
    """For members whose last attempt has no known end: to revoke the live keys whose secret we don't have, and the
    access of an account that is not the recorded one, and is no other participant's by now. Also for one with nothing
    to revoke: it is certain then.
    """
    owners = {cloud_user_name(each.email): each.user_id for each in participants}
    return tuple(Order(_strays(member, snapshot, owners), member.email, quiet=True) for member in members)


def _strays(member: Member, snapshot: Snapshot, owners: Mapping[str, int]) -> UserChange:
    accounts, known = snapshot.users or {}, member.known_keys
    name = cloud_user_name(member.email)
    account = accounts[name].id if name in accounts else None
    is_ours = owners.get(name, member.user_id) == member.user_id
    live = snapshot.keys.get(account) if snapshot.keys is not None and account and is_ours else None
    former = {cloud_user_name(each.email): each for each in member.record.former}
    return UserChange(
        member.user_id,
        name,
        account,
        keys=KeyChange(current=member.key_id, known=known, strays=tuple(sorted((live or frozenset()) - known))),
        former=tuple(
            replace(each, provider_user_id=accounts[other].id)
            for other, each in former.items()
            if other != name and other in accounts and owners.get(other, member.user_id) == member.user_id
        ),
    )


def _leaving(member: Member) -> UserRecord:
    """An attempt whose end is unknown may have given the role that it was about to give, and its policies."""
    return replace(member.record, role=member.role or member.asked_role)
