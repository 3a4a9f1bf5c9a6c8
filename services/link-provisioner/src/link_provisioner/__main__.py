"""link-provisioner: makes, disables and removes the project on the cloud."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from backbone import tracing
from backbone.leases import LeaseKeeper
from backbone.runtime import Runtime, fail, run
from backbone.settings import load
from backbone.shares import Shares
from clouds import metrics, watch
from clouds.providers import Clouds
from clouds.regions import RegionsError, load_regions

from link_provisioner import links
from link_provisioner.handlers import HANDLERS
from link_provisioner.latecomers import Latecomers
from link_provisioner.provisioner import Provisioner
from link_provisioner.settings import Settings


def main() -> None:
    """Runs until SIGTERM; exit code 2 where a setting is wrong, which is named then."""
    settings = load(Settings)
    run("link-provisioner", settings, HANDLERS, partial(_wire, settings))


async def _wire(settings: Settings, runtime: Runtime) -> Mapping[str, Any]:
    clouds = _clouds(settings)
    metrics.observers.append(tracing.called)
    runtime.stack.push_async_callback(clouds.aclose)
    leases = LeaseKeeper(runtime.database, "links", "identifier", settings.lease_seconds)
    runtime.background("leases", leases.run)
    regions = watch.RegionWatch(clouds, runtime.database.transaction, runtime.instance)
    runtime.background("regions", regions.look, every=watch.EVERY)
    forget = partial(links.forget_removed, runtime.database, settings.keep_removed_days)
    runtime.background("removed", forget, every=3600)
    late = Latecomers(runtime.database, clouds, leases, settings.strays_after, settings.link_timeout)
    runtime.background("latecomers", late.look, every=min(5.0, settings.strays_after))
    shares = Shares(settings.places, settings.standing)
    return {"provisioner": Provisioner(runtime.database, clouds, leases, shares, settings.link_timeout)}


def _clouds(settings: Settings) -> Clouds:
    try:
        return Clouds(load_regions(settings.cloud_regions_file), settings.cloud)
    except RegionsError as error:
        fail(f"setting CLOUD_REGIONS_FILE: {error}")


if __name__ == "__main__":
    main()
