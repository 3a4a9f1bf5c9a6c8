"""Creations: with a key and without, several at once, repeated until there is an answer, and repeated after it."""

import asyncio
from random import Random

from tests.chaos.client import Client
from tests.chaos.operations import CREATE

PAUSE = 0.4


async def create(client: Client, random: Random, seconds: float = 60) -> None:
    """One project. Without a key a client must not repeat, for that could make a second one."""
    body = CREATE.body(random, client.there) if CREATE.body else {}
    if random.random() < 0.25:
        await client.send(CREATE, body)
        return
    headers = {"Idempotency-Key": f'"{body["name"]}"'}
    if random.random() < 0.2:
        headers["Prefer"] = "wait=2"
    at_once = random.choice((1, 1, 2, 3))
    sent = list(await asyncio.gather(*(client.send(CREATE, body, headers=headers) for _ in range(at_once))))
    until = client.now + seconds
    while not any(each.accepted or each.status == 422 for each in sent) and client.now < until:
        await asyncio.sleep(PAUSE)
        sent.append(await client.send(CREATE, body, headers=headers))
    if random.random() < 0.4:
        sent.append(await client.send(CREATE, body, headers=headers))
    if random.random() < 0.3 and any(each.accepted for each in sent):
        other = {**body, "description": "another body"}
        await client.send(CREATE, other, headers=headers, name="create-other-body")
