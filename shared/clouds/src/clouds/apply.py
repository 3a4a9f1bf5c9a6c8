"""Carries out one user's change in an order that survives a crash at any point: account, role, policy, then the key.

A key is issued in two halves: ``apply_change`` issues it, the caller seals and stores it, and ``settle_change`` revokes
what it replaces. What a crash leaves between them is a stray key, which the next attempt revokes before it issues one.
A request that got no answer may be carried out later than that: the outcome is doubtful then, and is looked at again.
"""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from clouds.ensure import PAUSES
from clouds.errors import Conflict, TimeoutUnknown, Transient
from clouds.naming import cloud_user_name
from clouds.port import (
    AccessKey,
    AccessOperations,
    CloudUser,
    KeyChange,
    UserChange,
    UserOutcome,
    UserRecord,
)

LOOKS = 3
"""For a role that others replace meanwhile; who replaces it more often than that is waited for."""


async def apply_change(cloud: AccessOperations, project_id: str, change: UserChange) -> UserOutcome:
    """Everything but what must wait until the new key is stored. Safe to call again after any failure."""
    if change.unchanged:
        return UserOutcome(change.user_id, change.provider_user_id)
    if change.leaves:
        user_id, issued = await _take_away(cloud, project_id, change), None
        for former in change.former:
            await _end_former(cloud, project_id, former)
    else:
        user = await _account(cloud, change)
        await _grant(cloud, project_id, user, change)
        user_id, issued = user.id, await _keys(cloud, project_id, user, change.keys)
    doubtful = change.keys.look or (issued is not None and issued.doubtful)
    return UserOutcome(change.user_id, user_id, change.actions, issued and issued.key, doubtful)


async def settle_change(cloud: AccessOperations, project_id: str, change: UserChange) -> None:
    """Revokes the keys and the former accounts that the stored outcome replaces."""
    if change.keys.retire:
        user = await _account(cloud, change)
        await _revoke_keys(cloud, project_id, user, change.keys.retire)
    for former in change.former:
        await _end_former(cloud, project_id, former)


async def _account(cloud: AccessOperations, change: UserChange) -> CloudUser:
    if change.provider_user_id is not None:
        return CloudUser(change.provider_user_id, change.name)
    return await cloud.ensure_user(change.name)


async def _grant(cloud: AccessOperations, project_id: str, user: CloudUser, change: UserChange) -> None:
    """The new role comes before the old one goes, so that access never lapses."""
    if change.grant_role:
        await cloud.grant_role(project_id, user.id, change.grant_role)
    for policy in change.attach_policies:
        await cloud.attach_policy(project_id, user.id, policy)
    for role in change.revoke_roles:
        await cloud.revoke_role(project_id, user.id, role)


async def _keys(cloud: AccessOperations, project_id: str, user: CloudUser, keys: KeyChange) -> "_Issued | None":
    strays = await cloud.list_keys(project_id, user) - keys.known if keys.look else frozenset(keys.strays)
    await _revoke_keys(cloud, project_id, user, sorted(strays))
    if not keys.issue:
        return None
    if (limit := cloud.capabilities.max_keys) and len({*keys.retire, *filter(None, [keys.current])}) >= limit:
        await _make_room(cloud, project_id, user, keys)
    return await _issue(cloud, project_id, user, keys)


class _Issued(NamedTuple):
    """A key, and whether another may come yet: a request without an answer may be carried out after we have looked."""

    key: AccessKey
    doubtful: bool


async def _issue(cloud: AccessOperations, project_id: str, user: CloudUser, keys: KeyChange) -> "_Issued":
    made_room = doubtful = False
    for pause in (*PAUSES, None):
        try:
            return _Issued(await cloud.issue_key(project_id, user), doubtful)
        except Conflict as conflict:
            if conflict.code != "key_limit" or made_room:
                raise
            made_room = True
            await _make_room(cloud, project_id, user, keys)
        except Transient as fault:
            if pause is None:
                raise
            doubtful |= isinstance(fault, TimeoutUnknown)
            await asyncio.sleep(pause)
            strays = await cloud.list_keys(project_id, user) - keys.known
            await _revoke_keys(cloud, project_id, user, sorted(strays))
    raise Conflict("The cloud keeps refusing a key.", code="key_limit")


async def _make_room(cloud: AccessOperations, project_id: str, user: CloudUser, keys: KeyChange) -> None:
    """At the cloud's limit of keys: first what nobody uses, and only where nothing else is left the key in use."""
    live = await cloud.list_keys(project_id, user)
    spare = live - {keys.current}
    await _revoke_keys(cloud, project_id, user, sorted(spare or live))


async def _take_away(cloud: AccessOperations, project_id: str, change: UserChange) -> str | None:
    """Keys first: they are what lets somebody in."""
    if change.provider_user_id is None:
        return None
    user = CloudUser(change.provider_user_id, change.name)
    keys = set(change.keys.strays)
    if change.keys.look:
        keys |= await cloud.list_keys(project_id, user)
    await _revoke_keys(cloud, project_id, user, sorted(keys))
    for role in change.revoke_roles:
        await cloud.revoke_role(project_id, user.id, role)
    if change.revoke_roles and cloud.capabilities.one_role_per_account:
        await _take_replaced(cloud, project_id, user)
    for policy in change.detach_policies:
        await cloud.detach_policy(project_id, user.id, policy)
    return user.id


async def _take_replaced(cloud: AccessOperations, project_id: str, user: CloudUser) -> None:
    """A grant in another project replaces the role here, too, at any moment until there is none: then what was revoked
    was gone already, and another one is there.
    """
    for _ in range(LOOKS):
        left = await cloud.list_roles(project_id, user) & cloud.capabilities.managed_roles
        if not left:
            return
        for role in sorted(left):
            await cloud.revoke_role(project_id, user.id, role)
    raise Transient("The cloud shows a role again and again after it was revoked.", code="still_there")


async def _end_former(cloud: AccessOperations, project_id: str, former: UserRecord) -> None:
    leaving = UserChange(
        user_id=former.user_id,
        name=cloud_user_name(former.email),
        provider_user_id=former.provider_user_id,
        keys=KeyChange(
            strays=tuple(filter(None, (former.key_id, *former.retired_key_ids))), look=cloud.capabilities.has_keys
        ),
        revoke_roles=tuple(sorted(cloud.capabilities.roles_of_former(former.role))),
        detach_policies=cloud.capabilities.policies,
        leaves=True,
    )
    await _take_away(cloud, project_id, leaving)


async def _revoke_keys(cloud: AccessOperations, project_id: str, user: CloudUser, key_ids: Sequence[str]) -> None:
    for key_id in key_ids:
        await cloud.revoke_key(project_id, user, key_id)
