"""`user-syncer`: gives a project's users their access on the cloud, and takes it.

`user-syncer reseal` seals the stored secrets under the newest key, and ends; docs/runbooks/rotation.md says when.
"""

import asyncio
import sys
from collections.abc import Mapping
from functools import partial
from typing import Any

import backbone.logging
from backbone import tracing
from backbone.database import Database
from backbone.leases import LeaseKeeper
from backbone.runtime import Runtime, fail, run
from backbone.settings import load
from backbone.shares import Shares
from clouds import metrics, watch
from clouds.providers import Clouds
from clouds.regions import RegionsError, load_regions
from clouds.vault import Vault, VaultError, load_keys

from user_syncer.capacity import Capacity
from user_syncer.drift import DriftSweep
from user_syncer.handlers import HANDLERS
from user_syncer.orphans import OrphanSweep
from user_syncer.planner import Planner
from user_syncer.resealing import reseal
from user_syncer.settings import Settings
from user_syncer.sweeping import Sweep
from user_syncer.syncing import Syncer

NAME = "user-syncer"
AHEAD = 2
"""While some users are on the cloud, the next are read from the database and what came of others is recorded."""


def main() -> None:
    """Serves until SIGTERM, or reseals and ends; exit code 2 where a setting is wrong, which is named then."""
    settings = load(Settings)
    match sys.argv[1:]:
        case []:
            run(NAME, settings, HANDLERS, partial(_wire, settings))
        case ["reseal"]:
            backbone.logging.configure(NAME, settings.log_level)
            sys.exit(1 if asyncio.run(_reseal(settings)) else 0)
        case _:
            fail("usage: user-syncer [reseal]")


async def _reseal(settings: Settings) -> int:
    database = Database(settings.database_url.get_secret_value(), schema=NAME.replace("-", "_"), source=NAME)
    try:
        return await reseal(database, _vault(settings))
    finally:
        await database.close()


async def _wire(settings: Settings, runtime: Runtime) -> Mapping[str, Any]:
    clouds, vault = _clouds(settings), _vault(settings)
    metrics.observers.append(tracing.called)
    runtime.stack.push_async_callback(clouds.aclose)
    leases = LeaseKeeper(runtime.database, "chunks", "id", settings.lease_seconds)
    capacity = Capacity(
        settings.cloud.in_flight_here,
        patience=settings.patience,
        ahead=AHEAD,
        unrecorded=settings.max_unrecorded,
        stopping=runtime.is_stopping,
    )
    syncer = Syncer(runtime.database, clouds, vault, leases, capacity, settings)
    readings = Shares(settings.reading_places, settings.standing)
    planner = Planner(runtime.database, clouds, syncer, readings, settings.chunk_size)
    sweep = Sweep(runtime.database, clouds, settings)
    runtime.background("leases", leases.run)
    regions = watch.RegionWatch(clouds, runtime.database.transaction, runtime.instance)
    runtime.background("regions", regions.look, every=watch.EVERY)
    runtime.background("tickets", sweep.renew_tickets, every=settings.sweep_seconds)
    runtime.background("keys", sweep.look_for_keys, every=settings.sweep_seconds)
    runtime.background("removed", sweep.forget_removed, every=3600)
    runtime.background("chunks", sweep.measure, every=settings.housekeeping_seconds)
    if settings.drift_sweep_seconds:
        drift = DriftSweep(runtime.database, clouds, settings.drift_sweep_seconds)
        orphans = OrphanSweep(runtime.database, clouds, settings.drift_sweep_seconds)
        for name, sweeping in (("drift", drift), ("orphans", orphans)):
            runtime.background(name, sweeping.look, every=settings.drift_sweep_seconds)
            runtime.background(f"{name} found", sweeping.measure, every=settings.housekeeping_seconds)
    return {"planner": planner, "syncer": syncer}


def _clouds(settings: Settings) -> Clouds:
    try:
        return Clouds(load_regions(settings.cloud_regions_file), settings.cloud)
    except RegionsError as error:
        fail(f"setting CLOUD_REGIONS_FILE: {error}")


def _vault(settings: Settings) -> Vault:
    given = {
        "SEALING_KEYS": settings.sealing_keys.get_secret_value() if settings.sealing_keys else "",
        "SEALING_KEY_FILE": str(settings.sealing_key_file or ""),
    }
    try:
        return Vault(load_keys(given))
    except VaultError as error:
        fail(f"setting {error}")


if __name__ == "__main__":
    main()
