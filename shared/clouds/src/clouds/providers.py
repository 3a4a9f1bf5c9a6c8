"""Which providers there are (entry points), and the configured regions opened with them, once per process."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from importlib.metadata import entry_points

from clouds.errors import Invalid
from clouds.http import Health, RegionHttp
from clouds.port import CloudProvider
from clouds.regions import Region, RegionsError
from clouds.settings import CloudSettings

GROUP = "uca.cloud_providers"
"""The entry point group; a name in it is a region's ``provider``. docs/add-a-provider.md has an example."""

ProviderFactory = Callable[[Region, RegionHttp], CloudProvider]


def installed_providers() -> dict[str, Callable[[], ProviderFactory]]:
    """Loaders by name: a provider that no region uses is not imported."""
    return {point.name: point.load for point in entry_points(group=GROUP)}


class Clouds:
    """The regions' providers. Making it checks every active region's settings; nothing is called before it is used."""

    def __init__(self, regions: Mapping[str, Region], settings: CloudSettings | None = None) -> None:
        """Raises RegionsError for a provider that is not installed, or options that it does not take."""
        settings = settings or CloudSettings()
        self._regions = {code: region for code, region in regions.items() if region.is_active}
        self._https: dict[str, RegionHttp] = {}
        self._providers: dict[str, CloudProvider] = {}
        loaders = installed_providers()
        for code, region in self._regions.items():
            if region.provider not in loaders:
                names = ", ".join(sorted(loaders))
                raise RegionsError(
                    f"region {code!r}: provider {region.provider!r} is not installed; there are: {names}"
                )
            self._https[code] = RegionHttp(region, replace(settings, timeout=region.timeout or settings.timeout))
            self._providers[code] = loaders[region.provider]()(region, self._https[code])

    def open(self, code: str) -> CloudProvider:
        """The region's provider; the same one each time. Raises Invalid (``unknown_region``)."""
        self._known(code)
        return self._providers[code]

    def region(self, code: str) -> Region:
        """Raises Invalid (``unknown_region``)."""
        self._known(code)
        return self._regions[code]

    @property
    def codes(self) -> tuple[str, ...]:
        """The active regions."""
        return tuple(self._regions)

    def health(self, code: str) -> Health:
        """How the region's cloud does, as this process sees it. Raises Invalid (``unknown_region``)."""
        self._known(code)
        return self._https[code].health()

    def set_maintenance(self, code: str, on: bool) -> None:
        """While on, calls on the region raise ProviderUnavailable. Raises Invalid (``unknown_region``)."""
        self._known(code)
        self._https[code].set_maintenance(on)

    async def aclose(self) -> None:
        for provider in self._providers.values():
            await provider.aclose()

    def _known(self, code: str) -> None:
        if code not in self._regions:
            raise Invalid(f"Region {code!r} is not configured or not active.", code="unknown_region")
