"""How long faults last and how much is asked for meanwhile: the full matrix, and a cut for every day."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Scale:
    """Times are seconds. ``settings`` go to every service and, as far as it knows them, to the migrator."""

    name: str
    projects: int
    rate: float
    freeze: float
    block: int
    kills_per_failpoint: int
    kill_chance: float
    broker_kills: int
    broker_stops: int
    database_restarts: int
    cloud_timeout: float
    settings: Mapping[str, str] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)
    """Directory role to cloud role in both regions; none: all users get the cloud's plain one."""


FULL = Scale(
    name="full",
    projects=2000,
    rate=20,
    freeze=60,
    block=40,
    kills_per_failpoint=20,
    kill_chance=0.03,
    broker_kills=10,
    broker_stops=5,
    database_restarts=10,
    cloud_timeout=15,
    settings={"LOG_LEVEL": "INFO", "TICKET_AFTER": "15", "STRAYS_AFTER": "15"},
)

QUICK = Scale(
    name="quick",
    projects=100,
    rate=25,
    freeze=4,
    block=4,
    kills_per_failpoint=1,
    kill_chance=0.5,
    broker_kills=1,
    broker_stops=1,
    database_restarts=2,
    cloud_timeout=2,
    settings={
        "RETRY_SCALE": "0.1",
        "SWEEP_SECONDS": "3",
        "LEASE_SECONDS": "2",
        "TICKET_AFTER": "2",
        "STRAYS_AFTER": "1",
        "CLOUD_TIMEOUT": "2",
        "COMMAND_TIMEOUT": "3",
    },
)
