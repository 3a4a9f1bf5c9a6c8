"""Row 8: a bad network on each of the three ways that the services speak: to the broker, the database, the cloud."""

import asyncio
import time

from tests.faults.detour import WAYS
from tests.faults.trial import Trial

NOTICED_WITHIN = 35.0
"""Seconds after which a peer that says nothing must count as dead."""


async def bad_network(trial: Trial) -> None:
    """For the second replicas: connections cut every 5 kB, then 500 ms late, then deaf on one side for a minute.

    A minute is the full matrix's ``freeze``; the cuts and the delay last a third of it each.
    """
    noticed, deaf = [], trial.scale.freeze
    async with trial.load(over=len(WAYS) * deaf * 5 / 3):
        for way in WAYS:
            proxy = trial.ground.proxies[way]
            proxy.cut_every = 5_000
            await asyncio.sleep(deaf / 3)
            proxy.cut_every, proxy.latency = 0, 0.5
            await asyncio.sleep(deaf / 3)
            proxy.latency, proxy.black = 0, "down"
            noticed.append(await _noticed(trial, way))
            await asyncio.sleep(max(0.0, deaf - noticed[-1]))
            proxy.heal()
    trial.note(", ".join(f"{way} dead: noticed in {s:.0f} s" for way, s in zip(WAYS, noticed, strict=True)))
    trial.expect(max(noticed) <= NOTICED_WITHIN, "a dead peer was noticed too late")


async def _noticed(trial: Trial, way: str) -> float:
    """Seconds until a replica behind the proxy says that its peer is away; for the cloud, until a call has failed."""
    begin = time.monotonic()
    name = "link-provisioner.2"
    gauges = {"amqp": "uca_broker_connected", "database": "uca_database_up"}
    before = await trial.ground.metrics("uca_message_retries_total")
    while time.monotonic() - begin < 60:
        if way in gauges:
            noticed = await trial.ground.metric(name, gauges[way]) == 0
        else:
            noticed = await trial.ground.metrics("uca_message_retries_total") > before
        if noticed:
            break
        await asyncio.sleep(0.5)
    return time.monotonic() - begin
