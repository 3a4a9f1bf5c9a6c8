"""Row 8: a bad network on each of the three ways that the services speak: to the broker, the database, the cloud."""

import asyncio
import json
import time
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from urllib.parse import urlsplit

from local import ports

from tests.faults.ground import instances_of
from tests.faults.proxy import Proxy
from tests.faults.trial import Trial

NOTICED_WITHIN = 35.0
"""Seconds after which a peer that says nothing must count as dead."""

WAYS = "amqp", "database", "cloud"


async def bad_network(trial: Trial) -> None:
    """Of each service one replica: connections cut every 5 kB, 500 ms late, then deaf on one side for a minute."""
    ground = trial.ground
    targets = {
        "amqp": ground.parts.broker.amqp_port,
        "database": ground.parts.database.port,
        "cloud": urlsplit(ground.services.simulator_url).port or 0,
    }
    names = [f"proxy {way}" for way in WAYS]
    port = ports.allocate(ground.directory / "ports.json", names, in_use=True)
    async with AsyncExitStack() as stack:
        proxies = {way: await stack.enter_async_context(Proxy(port[f"proxy {way}"], targets[way])) for way in WAYS}
        await ground.restart(_through(trial, {way: port[f"proxy {way}"] for way in WAYS}))
        noticed = []
        async with trial.load(over=len(WAYS) * 110):
            for way, proxy in proxies.items():
                proxy.cut_every = 5_000
                await asyncio.sleep(20)
                proxy.cut_every, proxy.latency = 0, 0.5
                await asyncio.sleep(20)
                proxy.latency, proxy.black = 0, "down"
                noticed.append(await _noticed(trial, way))
                await asyncio.sleep(max(0.0, 60 - noticed[-1]))
                proxy.black = ""
        await ground.restart({})
    trial.note(", ".join(f"{way} dead: noticed in {s:.0f} s" for way, s in zip(WAYS, noticed, strict=True)))
    trial.expect(max(noticed) <= NOTICED_WITHIN, "a dead peer was noticed too late")


def _through(trial: Trial, port: Mapping[str, int]) -> dict[str, dict[str, str]]:
    services, directory = trial.ground.services, trial.ground.directory
    regions = json.loads((directory / "regions.json").read_text())
    for region in regions:
        region["url"] = _at(region["url"], port["cloud"])
    detour: Path = directory / "regions-by-proxy.json"
    detour.write_text(json.dumps(regions))
    second = set(instances_of(*(each.partition(".")[0] for each in trial.ground.instances)))
    chosen: dict[str, dict[str, str]] = {}
    for program in services.programs(trial.ground.stack.environment, {}):
        if program.name in second and program.name.endswith(".2"):
            ways = {"DATABASE_URL": "database", "TENANT_DATABASE_URL": "database", "AMQP_URL": "amqp"}
            urls = {
                name: _at(program.environment[name], port[way])
                for name, way in ways.items()
                if name in program.environment
            }
            chosen[program.name] = urls | {"CLOUD_REGIONS_FILE": str(detour)}
    return chosen


def _at(url: str, port: int) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=f"{parts.netloc.rpartition(':')[0]}:{port}").geturl()


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
