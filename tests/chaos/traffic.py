"""What people do all at once: drawn by weight, or as the status says is open, or two things at once on one project."""

import asyncio
from collections.abc import Coroutine
from random import Random

from tests.chaos.client import Client
from tests.chaos.creating import create
from tests.chaos.operations import BY_NAME, CREATE, DELETE, OPERATIONS, TENANT, TOGETHER, USER, Operation

USERS, TENANTS = 20, 3
FEWEST, MOST = 3, 18
"""Projects: few enough that each gets many commands."""

AT_ONCE = 8
PAUSES = 0.0, 0.02, 0.1, 0.3, 0.7
CHANGES_OF_USERS = BY_NAME["user-email"], BY_NAME["user-remove"], BY_NAME["user-role"]

Act = Coroutine[object, object, object]


async def settle_people(client: Client) -> None:
    """The first tenants and users, before anything is broken."""
    for operation, count in ((TENANT, TENANTS), (USER, USERS)):
        for _ in range(count):
            await client.ask(operation)


async def send_for(client: Client, random: Random, seconds: float) -> None:
    """Asks for one thing after another without waiting for its end, and returns once the last was answered."""
    until, going = client.now + seconds, set[asyncio.Task[object]]()
    async with asyncio.TaskGroup() as group:
        while client.now < until:
            going |= {group.create_task(act) for act in _next(client, random)}
            await asyncio.sleep(random.choice(PAUSES))
            while len(going := {task for task in going if not task.done()}) > AT_ONCE:
                await asyncio.sleep(0.05)


def _next(client: Client, random: Random) -> list[Act]:
    count = len(client.there.projects)
    if count < FEWEST or (count < MOST and random.random() < 0.1):
        return [create(client, random)]
    if random.random() < 0.3:
        return _together(client, random)
    if random.random() < 0.5:
        return [_fitting(client, random)]
    (operation,) = random.choices(OPERATIONS, [each.weight for each in OPERATIONS])
    if operation is CREATE:
        return [create(client, random)] if count < MOST else []
    return [client.ask(operation)]


def _together(client: Client, random: Random) -> list[Act]:
    pair = random.sample(TOGETHER, 2)
    if DELETE in pair and random.random() < 0.6:  # else nothing lives for long
        pair = random.sample([each for each in TOGETHER if each is not DELETE], 2)
    identifier = client.there.some_project(random)
    further = [random.choice(CHANGES_OF_USERS)] if random.random() < 0.35 else []
    return [*(client.ask(each, identifier) for each in pair), *(client.ask(each) for each in further)]


async def _fitting(client: Client, random: Random) -> None:
    """What the status says is open: else most commands would be refused and little would happen."""
    identifier = client.there.some_project(random)
    answer = await client.get(f"/projects/{identifier}/status") if identifier else None
    if answer is None or not answer.is_success:
        return
    actions = answer.json()["actions"]
    open_: list[Operation] = [each for each in OPERATIONS if each.action and actions[each.action]]
    if open_:
        (operation,) = random.choices(open_, [each.fitting for each in open_])
        await client.ask(operation, identifier)
