"""Reads what the oracle judges: the API page by page, the cloud object by object, and each credential once."""

from collections.abc import Mapping
from typing import Any

from tests.chaos.client import Client
from tests.chaos.observed import Credential, Seen, World, cloud_of
from tests.faults import verdict
from tests.faults.ground import Ground
from tests.faults.verdict import Baseline

TRIES = 20


async def read_world(
    ground: Ground, client: Client, before: Baseline, left: Mapping[str, int], refailed: Mapping[str, str]
) -> World:
    """Everything, as it is now; nothing may be going on any more."""
    listed = {each["identifier"]: each for each in await _pages(client, "/projects")}
    credentials = {identifier: await _credentials(ground, client, identifier) for identifier in listed}
    cloud = cloud_of((await ground.simulator.get("/_sim/objects")).raise_for_status().json())
    counts = await ground.cloud()
    return World(
        {
            identifier: Seen(
                each,
                (await _get(client, f"/projects/{identifier}"))["data"],
                await _get(client, f"/projects/{identifier}/status"),
                await _pages(client, f"/projects/{identifier}/events"),
                cloud.projects.get(identifier, ()),
                credentials[identifier],
                await _get(client, f"/projects/{identifier}/verify"),
            )
            for identifier, each in listed.items()
        },
        (await _get(client, "/projects"))["meta"]["total"],
        {each["id"]: each for each in await _pages(client, "/users")},
        {mark: found for mark, found in cloud.projects.items() if mark not in listed},
        cloud.doubled_accounts,
        verdict.doubled_links(counts) - before.doubled_links + counts["duplicate_keys"],
        left,
        await verdict.parked(ground) - before.parked,
        refailed,
    )


async def _credentials(ground: Ground, client: Client, identifier: str) -> Mapping[int, Credential]:
    found = {}
    for user in (await _get(client, f"/projects/{identifier}"))["data"]["users"]:
        answer = await client.get(f"/projects/{identifier}/users/{user['id']}/credential")
        if answer is None or not answer.is_success:
            found[user["id"]] = Credential(answer.status_code if answer else 0)
            continue
        given = answer.json()["data"]
        pair = {"access_key": given["access_key"], "secret_key": given["secret_key"]}
        opened = await ground.simulator.post("/_sim/authenticate", json=pair)
        found[user["id"]] = _credential(opened.json() if opened.is_success else None)
    return found


def _credential(opened: Mapping[str, str] | None) -> Credential:
    return Credential(200, True, opened["user_name"], opened["project_id"]) if opened else Credential(200)


async def _pages(client: Client, path: str) -> list[dict[str, Any]]:
    found, page, last = list[dict[str, Any]](), 0, 1
    while page < last:
        page += 1
        content = await _get(client, path, per_page=100, page=page)
        found, last = [*found, *content["data"]], content["meta"]["last_page"]
    return found


async def _get(client: Client, path: str, **query: int) -> dict[str, Any]:
    for _ in range(TRIES):
        answer = await client.get(path, **query)
        if answer is not None and answer.is_success:
            return dict(answer.json())
    raise RuntimeError(f"{path} does not answer: {answer.text if answer is not None else 'nobody is there'}")
