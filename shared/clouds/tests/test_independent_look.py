"""What our runs leave on a real Keystone, as OpenStack's own client library sees it."""

import asyncio
import json
import os
import subprocess
from typing import Any

from clouds.providers import Clouds

LOOK = """
import json, os, sys
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session
from keystoneclient.v3.client import Client

auth = Password(os.environ["URL"], username="admin", password=os.environ["PASSWORD"], project_name="admin",
                user_domain_id="default", project_domain_id="default")
client = Client(session=Session(auth), endpoint_override=os.environ["URL"])
project = client.projects.get(sys.argv[1])
names = {user.id: user.name for user in client.users.list()}
roles = {role.id: role.name for role in client.roles.list()}
keys = [c for c in client.credentials.list(type="ec2") if c.project_id == project.id]
print(json.dumps({
    "name": project.name, "tags": project.tags, "enabled": project.enabled,
    "roles": {names[a.user["id"]]: roles[a.role["id"]] for a in client.role_assignments.list(project=project)},
    "keys": {names[c.user_id]: json.loads(c.blob)["access"] for c in keys}, "number_of_keys": len(keys),
}))
"""


def look(keystone: Any, project_id: str) -> Any:
    """Runs in Keystone's own environment: the project needs no OpenStack library."""
    environ = os.environ | {"URL": keystone.url, "PASSWORD": keystone.password}
    command = [str(keystone.python), "-c", LOOK, project_id]
    return json.loads(subprocess.run(command, env=environ, capture_output=True, text=True, check=True).stdout)


async def test_projects_roles_and_keys_are_as_they_should_be(keystone: Any, make_peer: Any) -> None:
    """After a first run, a rotation, a change of role and a removal."""
    clouds = Clouds({"ks": keystone.region("ks", roles={"admin": "manager"})})
    peer = make_peer(clouds, "ks")
    await peer.link()
    await peer.run([peer.user(1), peer.user(2), peer.user(3)])
    await peer.run([peer.user(1, rotate=True), peer.user(2, "manager")])
    seen = await asyncio.to_thread(look, keystone, peer.project_id)
    first, second = peer.user(1).email.lower(), peer.user(2).email.lower()
    assert seen == {
        "name": f"Blue Whale-{peer.spec.identifier}",
        "tags": [f"uca:{peer.spec.identifier}"],
        "enabled": True,
        "roles": {first: "member", second: "manager"},
        "keys": {first: peer.keys[1].id, second: peer.keys[2].id},
        "number_of_keys": 2,
    }
    await clouds.aclose()
