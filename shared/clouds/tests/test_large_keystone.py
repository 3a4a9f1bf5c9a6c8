"""A Keystone with more than a thousand users and projects: it cuts its lists there, and nobody may be missed for it.

They are copied in its database, for as many by calls would take it most of a minute.
"""

import sqlite3
from collections.abc import AsyncIterator, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from clouds.counting import counting_calls
from clouds.port import ProjectSpec
from clouds.providers import Clouds
from clouds.testing import Keystone, running_keystone

MANY = 1_500
"""Keystone's max_db_limit is 1,000."""
NUMBERS = f"WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MANY}) "
USERS = (
    "INSERT INTO user (id, extra, enabled, domain_id) SELECT id || '-' || i, extra, enabled, domain_id"
    " FROM user, n WHERE id = :id",
    "INSERT INTO local_user (user_id, domain_id, name) SELECT user_id || '-' || i, domain_id, i || '.' || name"
    " FROM local_user, n WHERE user_id = :id",
    "INSERT INTO assignment (type, actor_id, target_id, role_id, inherited)"
    " SELECT type, actor_id || '-' || i, target_id, role_id, inherited FROM assignment, n WHERE actor_id = :id",
    "INSERT INTO credential (id, user_id, project_id, type, extra, key_hash, encrypted_blob)"
    " SELECT substr(id, 1, 50) || '-' || i, user_id || '-' || i, project_id, type, extra, key_hash, encrypted_blob"
    " FROM credential, n WHERE user_id = :id",
)
PROJECTS = (
    # Their ids come before any that Keystone makes up: they are what a list is filled with.
    "INSERT INTO project (id, name, extra, description, enabled, domain_id, parent_id, is_domain)"
    " SELECT '!' || i, 'other ' || i, extra, description, enabled, domain_id, parent_id, is_domain"
    " FROM project, n WHERE id = :id",
)


def multiply(keystone: Keystone, statements: tuple[str, ...], original: str) -> None:
    """So many further ones that are like the original; a user has roles and keys, too."""
    with closing(sqlite3.connect(keystone.home / "keystone.db")) as database, database:
        for statement in statements:
            database.execute(statement.replace("SELECT", NUMBERS + "SELECT", 1), {"id": original})


@pytest.fixture(scope="module")
def keystone() -> Iterator[Keystone]:
    """One of these tests' own: its lists are long."""
    with running_keystone() as running:
        yield running


@pytest.fixture
async def peer(keystone: Keystone, make_peer: Any) -> AsyncIterator[Any]:
    """A caller with a project of its own."""
    clouds = Clouds({"keystone": keystone.region("keystone")})
    yield make_peer(clouds, "keystone")
    await clouds.aclose()


async def test_nobody_is_taken_for_gone(keystone: Keystone, peer: Any) -> None:
    """Users by the thousand who have what they should: nothing is written, and no more than twelve calls are made."""
    await peer.link()
    await peer.run([one := peer.user(0)])
    record = peer.records[0]
    multiply(keystone, USERS, record.provider_user_id)
    desired = [one, *(replace(one, user_id=each, email=f"{each}.{one.email}") for each in range(1, MANY + 1))]
    for user in desired[1:]:
        account = f"{record.provider_user_id}-{user.user_id}"
        peer.records[user.user_id] = replace(record, user_id=user.user_id, email=user.email, provider_user_id=account)
    with counting_calls() as calls:
        await peer.link()
        assert [result for result in await peer.run(desired) if result.changed] == []
    assert calls.made <= 12


async def test_our_project_is_found_among_many(keystone: Keystone, peer: Any) -> None:
    """By its mark, though a tag is looked for among the first thousand alone: not made twice, and removed."""
    made = await peer.link()
    multiply(keystone, PROJECTS, made.id)
    assert (await peer.link()).id == made.id
    renamed = ProjectSpec(peer.spec.identifier, "Another name")
    assert (await peer.cloud.find_project(renamed)).id == made.id
    assert made.id in {project.id for project in (await peer.cloud.list_projects()).values()}
    assert await peer.cloud.delete_project(renamed) == made.id
    assert await peer.cloud.find_project(peer.spec) is None
