"""link-provisioner's environment."""

from backbone.settings import Settings as BackboneSettings
from clouds.settings import CloudEnvironment
from pydantic import Field


class Settings(CloudEnvironment, BackboneSettings):
    """Beside what every service has. Times are seconds."""

    # A tenant's turn comes only among what is in hand, so that is to be more than a usual flood.
    prefetch: int = Field(default=256, ge=1, le=1000, description="messages that a replica holds at once")
    concurrency: int = Field(default=256, ge=1, le=1000, description="links in hand at once, in line and at work")
    region_share: int | None = Field(
        default=None, ge=1, le=1000, description="links of a region at work at once; as its calls at once if not set"
    )
    link_timeout: float = Field(default=300, gt=0, le=3600, description="longest time for one try, all its calls")
    strays_after: float = Field(
        default=60, gt=0, le=86400, description="pause before a removed project is looked for once more"
    )
    keep_removed_days: int = Field(default=30, ge=1, le=3650, description="how long a removed link is remembered")

    @property
    def places(self) -> int:
        """Links of one region at work at once: enough to use all its calls, and few, for they are past all turns."""
        return self.region_share or self.cloud.in_flight_here
