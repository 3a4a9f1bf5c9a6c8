"""What every service takes from its environment; a service adds its own by inheriting."""

import errno
import re
import sys
from typing import Annotated, TypeVar
from urllib.parse import parse_qs, urlsplit

from pydantic import AfterValidator, Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backbone.failpoints import arm

SSL_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


def check_url(url: str, *schemes: str) -> None:
    """Finds at the start what a driver would fail on at each try, in words that have no part of the password.

    PostgreSQL's URLs may name several hosts, by comma, or none: more than the library's own parser lets pass as one.

    Raises:
        ValueError: what is wrong with it, without anything of it.
    """
    scheme, _, rest = url.partition("://")
    if scheme not in schemes:
        raise ValueError(f"must begin with {' or '.join(f'{each}://' for each in schemes)}")
    authority = re.split("[/?#]", rest, maxsplit=1)[0]
    if "@" not in authority and "@" in rest.partition("?")[0]:
        raise ValueError("percent-encode / and # in the password")
    for address in authority.rpartition("@")[2].split(","):
        try:
            parts = urlsplit(f"//{address}")
            _ = parts.port
        except ValueError:
            raise ValueError("a port is no number from 0 to 65535; percent-encode a ? in the password") from None
        if not (parts.hostname or scheme.startswith("postgres")):
            raise ValueError("names no host")
    if not SSL_MODES.issuperset(parse_qs(rest.partition("?")[2]).get("sslmode", [])):
        raise ValueError(f"sslmode must be one of {', '.join(sorted(SSL_MODES))}")


def _url(*schemes: str) -> AfterValidator:
    def check(value: SecretStr) -> SecretStr:
        check_url(value.get_secret_value(), *schemes)
        return value

    return AfterValidator(check)


DatabaseUrl = Annotated[SecretStr, _url("postgresql", "postgres")]
AmqpUrl = Annotated[SecretStr, _url("amqp", "amqps")]


class Settings(BaseSettings):
    """Settings common to all services. Times are seconds."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore")

    database_url: DatabaseUrl
    amqp_url: AmqpUrl
    metrics_host: str = "127.0.0.1"
    metrics_port: int = Field(default=0, ge=0, le=65535, description="0: no metrics and health listener")
    log_level: str = Field(default="INFO", pattern="^(DEBUG|INFO|WARNING|ERROR)$")
    pool_size: int = Field(default=8, ge=2, le=100)
    prefetch: int = Field(default=50, ge=1, le=1000, description="messages that a replica holds at once")
    concurrency: int = Field(default=32, ge=1, le=1000, description="handlers that call out, at once in a replica")
    max_tries: int = Field(default=3, ge=1, le=20)
    retry_scale: float = Field(
        default=1.0, gt=0, le=1, description="shortens retry delays; the broker's rungs must match"
    )
    lease_seconds: float = Field(default=15, ge=1, le=600)
    drain_seconds: float = Field(default=25, ge=1, le=600, description="how long SIGTERM waits for work in hand")
    command_timeout: float = Field(default=5, gt=0, le=60, description="longest wait for one database statement")
    housekeeping_seconds: float = Field(default=5, gt=0, le=3600)
    inbox_days: int = Field(default=7, ge=1, le=365)
    failpoints: str = Field(default="", description="for fault tests only")
    otel_exporter_otlp_endpoint: str = Field(
        default="", description="an OTLP/HTTP collector that traces go to; empty: no traces"
    )

    @field_validator("otel_exporter_otlp_endpoint")
    @classmethod
    def _collector(cls, value: str) -> str:
        if value:
            check_url(value, "http", "https")
        return value

    @property
    def standing(self) -> int:
        """Who may stand in line for slow regions: half of what is in hand, so that other regions have the rest."""
        return min(self.prefetch, self.concurrency) // 2


def not_listening(listener: str, host: str, port: int, error: OSError) -> str:
    """Words about a listener that cannot be opened, which name the one of its two settings that is to blame."""
    host_is_wrong = error.errno == errno.EADDRNOTAVAIL or (error.errno or 0) < 0  # a resolver's errors are negative
    setting = f"{listener}_{'HOST' if host_is_wrong else 'PORT'}"
    return f"setting {setting}: {host}:{port} cannot be listened on: {error.strerror}"


S = TypeVar("S", bound=BaseSettings)


def load(kind: type[S]) -> S:
    """The settings from the environment. A wrong one ends the process (2), naming each and what is wrong with it."""
    try:
        settings = kind()
        arm(getattr(settings, "failpoints", ""))
    except ValidationError as error:
        for each in error.errors(include_input=False, include_url=False):
            name = str(each["loc"][0]).upper() if each["loc"] else "settings"
            print(f"setting {name}: {each['msg']}", file=sys.stderr)  # noqa: T201 - no logging without settings
        sys.exit(2)
    except ValueError as error:
        print(f"setting FAILPOINTS: {error}", file=sys.stderr)  # noqa: T201 - no logging without settings
        sys.exit(2)
    return settings
