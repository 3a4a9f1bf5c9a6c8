"""user-syncer's environment."""

from pathlib import Path

from backbone.settings import Settings as BackboneSettings
from clouds.settings import CloudEnvironment
from pydantic import Field, SecretStr


class Settings(CloudEnvironment, BackboneSettings):
    """Beside what every service has. Times are seconds."""

    # A tenant's turn comes only among what is in hand, so that is to be more than a usual flood.
    prefetch: int = Field(default=256, ge=1, le=1000, description="messages that a replica holds at once")
    concurrency: int = Field(
        default=256, ge=1, le=1000, description="plans and chunks in hand at once, in line and at work"
    )
    sealing_keys: SecretStr | None = None
    sealing_key_file: Path | None = None
    chunk_size: int = Field(
        default=50, ge=1, le=100, description="users that are planned, leased and recorded together"
    )
    record_every: float = Field(default=1, gt=0, le=60, description="longest time that a result waits to be stored")
    max_unrecorded: int | None = Field(
        default=None,
        ge=1,
        le=10_000,
        description="users of a region that are done and not recorded yet; as its calls at once if not set",
    )
    readings: int | None = Field(
        default=None, ge=1, le=1000, description="plans that read one region at once; as its calls at once if not set"
    )
    user_timeout: float = Field(default=300, gt=0, le=3600, description="longest time for one try of one user")
    patience: float = Field(
        default=5, ge=0, le=60, description="how long a ticket waits for room before it lets others by"
    )
    sweep_seconds: float = Field(default=5, gt=0, le=3600, description="pause between looks for lost tickets and keys")
    ticket_after: float = Field(default=60, gt=0, le=3600, description="age at which a ticket is taken for lost")
    strays_after: float = Field(
        default=60, gt=0, le=86400, description="pause between looks for one project's lost keys"
    )

    keep_removed_days: int = Field(default=30, ge=1, le=3650, description="how long a removed project is remembered")
    drift_sweep_seconds: float = Field(
        default=0, ge=0, le=2_592_000, description="how often each project is compared with its cloud; 0 is never"
    )

    @property
    def reading_places(self) -> int:
        """Plans that read one region at once: enough to use all its calls, and few, for they are past all turns."""
        return self.readings or self.cloud.in_flight_here
