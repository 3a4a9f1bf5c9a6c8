"""link-provisioner's environment."""

from pathlib import Path

from backbone.settings import Settings as BackboneSettings
from clouds.settings import CloudSettings
from pydantic import Field


class Settings(BackboneSettings):
    """Beside what every service has. Times are seconds."""

    cloud_regions_file: Path
    cloud_timeout: float = Field(default=15, gt=0, le=300, description="longest wait for one answer of a cloud")
    cloud_max_in_flight: int = Field(
        default=12, ge=1, le=1000, description="calls at once per region, all replicas of this service together"
    )
    cloud_replicas: int = Field(default=1, ge=1, le=1000, description="replicas that share CLOUD_MAX_IN_FLIGHT")
    concurrency: int = Field(default=64, ge=1, le=1000, description="links that a replica works on at once")
    region_share: int = Field(default=24, ge=1, le=1000, description="those of one region; more than its calls at once")
    link_timeout: float = Field(default=300, gt=0, le=3600, description="longest time for one try, all its calls")
    keep_removed_days: int = Field(default=30, ge=1, le=3650, description="how long a removed link is remembered")

    @property
    def cloud(self) -> CloudSettings:
        """How this service calls clouds."""
        return CloudSettings(
            timeout=self.cloud_timeout, max_in_flight=self.cloud_max_in_flight, replicas=self.cloud_replicas
        )
