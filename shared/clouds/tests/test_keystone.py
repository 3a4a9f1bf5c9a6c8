"""What is Keystone's own, on the real one."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
from clouds.errors import NotFound
from clouds.port import UserOutcome
from clouds.providers import Clouds
from clouds.testing import Keystone


@pytest.fixture
async def peer(keystone: Keystone, make_peer: Any) -> AsyncIterator[Any]:
    """A caller with a linked project of its own."""
    clouds = Clouds({"keystone": keystone.region("keystone")})
    peer = make_peer(clouds, "keystone")
    await peer.link()
    yield peer
    await clouds.aclose()


async def test_a_role_that_was_made_anew_is_granted(peer: Any) -> None:
    """Its id is another one then: a grant fails for it, and the next try works."""
    name = f"role-{peer.spec.identifier}"
    role = await make_role(peer, name)
    assert isinstance((await peer.run([peer.user(1, name)]))[0], UserOutcome)
    await peer.cloud._call("by_hand", "DELETE", f"/roles/{role}")
    await make_role(peer, name)
    first, second = [(await peer.run([peer.user(1, name)]))[0] for _ in range(2)]
    assert isinstance(first, NotFound)
    assert isinstance(second, UserOutcome)


async def make_role(peer: Any, name: str) -> str:
    """As an admin does; its id."""
    answer = await peer.cloud._call("by_hand", "POST", "/roles", body={"role": {"name": name}})
    return str(answer.expect("make a role", 201).json()["role"]["id"])
