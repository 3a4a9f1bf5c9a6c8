"""What is on a Keystone, as OpenStack's own client library sees it: none of our code has a part in the answer.

The script runs in Keystone's own environment (``clouds.testing``): the project needs no OpenStack library.
"""

import json
import os
import subprocess
from typing import Any

from clouds.naming import link_mark
from clouds.testing import Keystone

_SCRIPT = """
import json, os, sys
from keystoneauth1.identity.v3 import Password
from keystoneauth1.session import Session
from keystoneclient.v3.client import Client

auth = Password(os.environ["URL"], username="admin", password=os.environ["PASSWORD"], project_name="admin",
                user_domain_id="default", project_domain_id="default")
client = Client(session=Session(auth), endpoint_override=os.environ["URL"])

def look(mark):
    names = {user.id: user.name for user in client.users.list()}
    roles = {role.id: role.name for role in client.roles.list()}
    keys = client.credentials.list(type="ec2")
    return [{
        "name": project.name, "enabled": project.enabled,
        "roles": sorted((names[a.user["id"]], roles[a.role["id"]])
                        for a in client.role_assignments.list(project=project)),
        "keys": sorted((names[c.user_id], json.loads(c.blob)["access"]) for c in keys if c.project_id == project.id),
    } for project in client.projects.list(tags=mark)]

def fill(name, number):
    user = next(iter(client.users.list(name=name)), None) or client.users.create(name=name, domain="default")
    for each in range(int(number) - len(client.credentials.list(user_id=user.id))):
        client.credentials.create(user=user, type="filler", blob=str(each))

def clear(name):
    for user in client.users.list(name=name):
        for credential in client.credentials.list(user_id=user.id, type="filler"):
            client.credentials.delete(credential)

print(json.dumps({"look": look, "fill": fill, "clear": clear}[sys.argv[1]](*sys.argv[2:])))
"""


def look(keystone: Keystone, identifier: str) -> list[dict[str, Any]]:
    """Every project that bears our mark of ``identifier``: name, enabled, and who has which roles and keys in it."""
    return list(_run(keystone, "look", link_mark(identifier)))


def fill(keystone: Keystone, name: str, number: int) -> None:
    """Gives the user of that name so many credentials that the cloud refuses a further one; made where missing."""
    _run(keystone, "fill", name, str(number))


def clear(keystone: Keystone, name: str) -> None:
    """Takes away what ``fill`` made."""
    _run(keystone, "clear", name)


def _run(keystone: Keystone, *words: str) -> Any:
    environ = os.environ | {"URL": keystone.url, "PASSWORD": keystone.password}
    command = [str(keystone.python), "-c", _SCRIPT, *words]
    done = subprocess.run(  # noqa: S603 - our own script in an environment of our own
        command, env=environ, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"Keystone's own client failed: {done.stderr[-500:]}")
    return json.loads(done.stdout)
