"""What our runs leave on a real Keystone, as OpenStack's own client library sees it."""

import asyncio
from typing import Any

from clouds import keystone_look
from clouds.errors import Forbidden
from clouds.providers import Clouds
from clouds.testing import MOST_CREDENTIALS


async def test_projects_roles_and_keys_are_as_they_should_be(keystone: Any, make_peer: Any) -> None:
    """After a first run, a rotation, a change of role and a removal."""
    clouds = Clouds({"ks": keystone.region("ks", roles={"admin": "manager"})})
    peer = make_peer(clouds, "ks")
    await peer.link()
    await peer.run([peer.user(1), peer.user(2), peer.user(3)])
    await peer.run([peer.user(1, rotate=True), peer.user(2, "manager")])
    seen = await asyncio.to_thread(keystone_look.look, keystone, peer.spec.identifier)
    first, second = peer.user(1).email.lower(), peer.user(2).email.lower()
    assert seen == [
        {
            "name": f"Blue Whale-{peer.spec.identifier}",
            "enabled": True,
            "roles": [[first, "member"], [second, "manager"]],
            "keys": [[first, peer.keys[1].id], [second, peer.keys[2].id]],
        }
    ]
    await clouds.aclose()


async def test_a_user_at_the_clouds_limit_is_refused_for_good(keystone: Any, make_peer: Any) -> None:
    """Keystone's 403 is no fault to be tried again; once there is room the user is synced."""
    clouds = Clouds({"ks": keystone.region("ks")})
    peer = make_peer(clouds, "ks")
    await peer.link()
    name = peer.user(1).email.lower()
    await asyncio.to_thread(keystone_look.fill, keystone, name, MOST_CREDENTIALS)
    (refused,) = await peer.run([peer.user(1)])
    assert isinstance(refused, Forbidden)
    assert not refused.retryable
    await asyncio.to_thread(keystone_look.clear, keystone, name)
    await peer.run([peer.user(1)])
    assert len((await asyncio.to_thread(keystone_look.look, keystone, peer.spec.identifier))[0]["keys"]) == 1
    await clouds.aclose()
