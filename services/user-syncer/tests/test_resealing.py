"""The sealing key changes while users are synced: no secret is lost, and in the end the old key opens none."""

import asyncio
import os
import sys
from collections.abc import Callable

import pytest
from cloud_simulator.testing import RunningSimulator
from clouds.vault import SealedFor, Vault, load_keys
from contracts.events import ProvisioningRequested
from user_syncer import resealing
from user_syncer.testing import SEALING_KEYS, Project, Replica, linked_project

NEW_KEY = "next:ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA="
BOTH = Vault(load_keys({"SEALING_KEYS": f"{NEW_KEY},{SEALING_KEYS}"}))
NEW = Vault(load_keys({"SEALING_KEYS": NEW_KEY}))


async def authenticate(replica: Replica, simulator: RunningSimulator, vault: Vault, project: Project) -> list[bool]:
    """Whether the cloud lets each member in with what the vault opens."""
    rows = (await replica.members(project.identifier)).values()
    secrets = [(row.key_id, vault.open(row.sealed_secret, SealedFor(5, row.user_id, row.key_id))) for row in rows]
    return [await simulator.authenticates(*pair) for pair in secrets]


async def test_secrets_are_resealed_under_load(
    make_replica: Callable[..., Replica], simulator: RunningSimulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Runs rotate every key meanwhile, by replicas that seal with either: afterwards the new key alone opens all."""
    monkeypatch.setattr(resealing, "BATCH", 3)
    before, after = make_replica(), make_replica(sealing_keys=f"{NEW_KEY},{SEALING_KEYS}")
    projects = [await linked_project(before) for _ in range(3)]
    for project in projects:
        await project.provision(users=8)

    async def rotate() -> None:
        for project in projects:
            project.replica = after
            await project.provision(ProvisioningRequested, 2, users=8, reason="user-sync", redo=tuple(range(1, 9)))

    unopened, _ = await asyncio.gather(resealing.reseal(before.database, BOTH), rotate())
    assert unopened == 0
    assert await resealing.reseal(before.database, BOTH) == 0
    for project in projects:
        assert await authenticate(before, simulator, NEW, project) == [True] * 8


async def test_what_no_key_opens_is_named_and_stays(replica: Replica, project: Project) -> None:
    """The others are resealed; the count tells that the old key must not go."""
    await project.provision(users=2)
    await replica.run("UPDATE member_records SET sealed_secret = 'damaged' WHERE user_id = 1")
    assert await resealing.reseal(replica.database, BOTH) == 1
    rows = await replica.members(project.identifier)
    assert rows[2].sealed_secret.startswith(BOTH.newest_prefix)
    assert rows[1].sealed_secret == b"damaged"


async def command(replica: Replica, *words: str, **settings: str) -> tuple[int, str]:
    """`user-syncer …` as an administrator runs it, on the replica's database: its exit code and what it said."""
    environment = {
        "PATH": os.environ["PATH"],
        "DATABASE_URL": replica.database.url,
        "AMQP_URL": "amqp://u:p@127.0.0.1:9/",
        "CLOUD_REGIONS_FILE": "none.json",
        "SEALING_KEYS": f"{NEW_KEY},{SEALING_KEYS}",
        **settings,
    }
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "user_syncer",
        *words,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(30):
        said, _ = await process.communicate()
    assert process.returncode is not None
    return process.returncode, said.decode()


async def test_the_command_says_whether_the_old_key_may_go(
    replica: Replica, project: Project, simulator: RunningSimulator
) -> None:
    """0 once the newest key opens everything, as often as it is asked, and how many it renewed; else 1, and whose
    secret is left."""
    await project.provision(users=2)
    code, said = await command(replica, "reseal")
    assert (code, "secrets.resealed" in said, '"renewed": 2' in said) == (0, True, True), said
    assert await authenticate(replica, simulator, NEW, project) == [True] * 2
    assert (await command(replica, "reseal"))[0] == 0
    await replica.run("UPDATE member_records SET sealed_secret = 'damaged' WHERE user_id = 1")
    code, said = await command(replica, "reseal")
    assert (code, "secret.not_resealed" in said, project.identifier in said) == (1, True, True), said


@pytest.mark.parametrize(
    ("words", "settings", "named"),
    [
        (["reseal"], {"SEALING_KEYS": ""}, "SEALING_KEYS"),
        (["reseal"], {"SEALING_KEYS": "next:short"}, "32 bytes"),
        (["reseal"], {"DATABASE_URL": "nowhere"}, "DATABASE_URL"),
        (["rotate"], {}, "usage: user-syncer [reseal]"),
    ],
)
async def test_a_wrong_command_changes_nothing(
    replica: Replica, project: Project, words: list[str], settings: dict[str, str], named: str
) -> None:
    """It ends with 2 and says what to correct."""
    await project.provision(users=1)
    before = await replica.run("SELECT sealed_secret FROM member_records")
    code, said = await command(replica, *words, **settings)
    assert (code, named in said) == (2, True), said
    assert await replica.run("SELECT sealed_secret FROM member_records") == before
