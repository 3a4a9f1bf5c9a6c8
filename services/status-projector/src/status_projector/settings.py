"""The projector's environment."""

import backbone.settings
from pydantic import Field


class Settings(backbone.settings.Settings):
    """Beside what every service has; times are seconds."""

    prefetch: int = Field(default=200, ge=1, le=1000, description="messages that a replica holds at once")
    slow_seconds: float = Field(
        default=300, gt=0, le=2_592_000, description="a run that takes longer is slow, and overdue meanwhile"
    )
    slow_told_seconds: float = Field(
        default=900, gt=0, le=2_592_000, description="how long a run that ended late is named in metrics"
    )
    link_seconds: float = Field(default=60, gt=0, le=2_592_000, description="the link step's share of slow_seconds")
    users_seconds: float = Field(default=240, gt=0, le=2_592_000, description="the users step's share of slow_seconds")
    push_limit: int = Field(default=10_000, ge=1, description="StatusChanged waiting in memory at most")
    estimate_refresh_seconds: float = Field(default=60, gt=0, le=86_400)
    estimate_runs: int = Field(
        default=500, ge=1, le=100_000, description="newest runs that an estimate is learned from"
    )
    retention_days: int = Field(
        default=30, ge=0, le=3650, description="how long a removed project stays in log and read model"
    )
