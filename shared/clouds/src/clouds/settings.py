"""How calls on clouds are made, and what a service's environment says of it."""

from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel, Field


@dataclass(frozen=True, slots=True)
class CloudSettings:
    """Times are in seconds, ``max_body`` is in bytes."""

    timeout: float = 15.0
    """From sending a request to the last byte of its answer."""
    max_in_flight: int = 12
    """Calls at once per provider and region, over all replicas of a service."""
    replicas: int = 1
    """How many processes share ``max_in_flight``; each takes its part, and at least one call."""
    max_body: int = 32 * 1024 * 1024
    repeats: int = 3
    """How often a call that is safe to repeat is made again."""
    patience: float = 2.0
    """A wait up to this long is sat out in place; a longer one parks the work."""
    breaker_failures: int = 8
    """Failures in a row that open the breaker. As many among the first attempts of four times as many calls mean that
    the cloud is in trouble, and a call given up meanwhile costs no try."""
    breaker_open: float = 5.0
    """How long it stays open at first; each further failure doubles it, up to ``breaker_open_max``."""
    breaker_open_max: float = 60.0
    maintenance_recheck: float = 30.0
    """``retry_after`` of work that waits for the end of a maintenance."""

    @property
    def in_flight_here(self) -> int:
        """This process's part of ``max_in_flight``."""
        return max(1, self.max_in_flight // max(1, self.replicas))


class CloudEnvironment(BaseModel):
    """What the environment of each service that calls clouds has."""

    cloud_regions_file: Path
    cloud_timeout: float = Field(default=15, gt=0, le=300, description="longest wait for one answer of a cloud")
    cloud_max_in_flight: int = Field(
        default=12, ge=1, le=1000, description="calls at once per region, all replicas of this service together"
    )
    cloud_replicas: int = Field(default=1, ge=1, le=1000, description="replicas that share CLOUD_MAX_IN_FLIGHT")

    @property
    def cloud(self) -> CloudSettings:
        """How this service calls clouds."""
        return CloudSettings(
            timeout=self.cloud_timeout, max_in_flight=self.cloud_max_in_flight, replicas=self.cloud_replicas
        )
