"""project-api's environment."""

import ipaddress
import re
import ssl
from pathlib import Path
from typing import Annotated, Self

from backbone.settings import DatabaseUrl, check_url
from backbone.settings import Settings as BackboneSettings
from pydantic import Field, FilePath, SecretStr, field_validator, model_validator
from pydantic_settings import NoDecode


class Settings(BackboneSettings):
    """Beside what every service has. Times are seconds, sizes bytes; rates are requests a second in one replica."""

    api_host: str = "127.0.0.1"
    api_port: int = Field(default=8000, ge=1, le=65535)
    api_tls_cert_file: FilePath | None = Field(default=None, description="https with this chain; else a proxy's part")
    api_tls_key_file: FilePath | None = None
    metrics_on_api: bool = Field(default=True, description="/metrics on the API's port too")
    forwarded_allow_ips: str = Field(default="", description="proxies whose X-Forwarded-For is believed; empty: none")
    tenant_database_url: DatabaseUrl
    pool_size: int = Field(default=16, ge=2, le=100)
    command_timeout: float = Field(default=3, gt=0, le=60, description="a request waits at most twice this long")

    jwt_secret: SecretStr | None = Field(default=None, description="for HS256: local mode")
    jwks_url: str | None = Field(default=None, description="the identity provider's keys")
    jwt_issuer: str = Field(default="uca", min_length=1)
    jwt_audience: str = Field(default="uca-api", min_length=1)

    push_key: str = Field(default="uca", pattern=r"^[\w-]{1,64}$")
    push_secret: SecretStr = Field(min_length=16)
    push_app_origins: Annotated[tuple[str, ...], NoDecode] = Field(default=(), description="by comma, beside our own")
    push_sockets: int = Field(default=10_000, ge=1, description="sockets that one replica takes")
    push_sockets_per_address: int = Field(default=5000, ge=1)
    push_sockets_per_user: int = Field(default=2000, ge=1, description="one more, and the user's oldest is ended")
    push_channels_per_socket: int = Field(default=500, ge=1)
    push_buffer_bytes: int = Field(default=512 * 1024, ge=4096, description="what may wait for one slow client")
    push_idle_seconds: float = Field(
        default=600, gt=0, le=86_400, description="a socket that watches nothing is kept so long"
    )

    zadara_sync_queue: bool = True
    zadara_fast_response: bool = True
    max_wait_seconds: float = Field(default=60, ge=1, le=300, description="longest an answer waits for a run's end")
    run_deadline_seconds: float = Field(
        default=86_400, gt=0, le=31_536_000, description="a run that has not ended by then fails"
    )
    sweep_seconds: float = Field(
        default=30, gt=0, le=86_400, description="a run without progress for so long is asked for again"
    )
    idempotency_hours: float = Field(
        default=24, ge=1, le=8760, description="how long an Idempotency-Key's answer is kept"
    )
    cloud_regions_file: Path
    sealing_keys: SecretStr | None = None
    sealing_key_file: Path | None = None

    max_body_bytes: int = Field(default=2 * 1024 * 1024, ge=1024, le=64 * 1024 * 1024)
    max_in_flight: int = Field(default=1000, ge=1, description="requests at work at once; one more is answered 503")
    max_connections: int = Field(default=10_000, ge=1)
    address_rate: float = Field(default=5000, gt=0, le=1_000_000)
    tenant_rate: float = Field(default=1000, gt=0, le=1_000_000)
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="by comma: pages of these may call the API with a person's cookie, and open sockets"
    )
    cookie_domain: str | None = Field(
        default=None, pattern=r"^[A-Za-z0-9.-]*$", description="of XSRF-TOKEN, for a page beside the API's own host"
    )
    cookie_secure: bool = Field(default=False, description="cookies over https only; set it wherever there is https")
    console: bool = True

    @field_validator("push_app_origins", "cors_origins", mode="before")
    @classmethod
    def _by_comma(cls, value: object) -> object:
        if isinstance(value, str):
            return tuple(origin.strip().rstrip("/").lower() for origin in value.split(",") if origin.strip())
        return value

    @field_validator("push_app_origins", "cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for each in value:
            if not re.fullmatch(r"https?://[a-z0-9.-]+(:\d{1,5})?", each):
                raise ValueError(f"must be origins by comma, as https://portal.example.com; {each!r} is none")
        return value

    @field_validator("forwarded_allow_ips")
    @classmethod
    def _networks(cls, value: str) -> str:
        """The listener would take a mistake for the name of a proxy, and believe none."""
        for each in value.split(",") if value not in ("", "*") else ():
            try:
                ipaddress.ip_network(each.strip())
            except ValueError as error:
                raise ValueError(f"must be addresses or networks by comma, or *: {error}") from error
        return value

    @field_validator("jwks_url")
    @classmethod
    def _reachable(cls, value: str | None) -> str | None:
        if value is not None:
            check_url(value, "http", "https")
        return value

    @field_validator("jwt_secret")
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value().encode()) < 32:
            raise ValueError("must have at least 32 bytes; make one by: openssl rand -base64 32")
        return value

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if (self.jwt_secret is None) == (self.jwks_url is None):
            raise ValueError("set either JWT_SECRET (local tokens) or JWKS_URL (an identity provider's)")
        if (self.api_tls_cert_file is None) != (self.api_tls_key_file is None):
            raise ValueError("set both API_TLS_CERT_FILE and API_TLS_KEY_FILE, or neither")
        if self.api_tls_cert_file and self.api_tls_key_file:
            try:
                context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
                context.load_cert_chain(self.api_tls_cert_file, self.api_tls_key_file)
            except OSError as error:
                words = "API_TLS_CERT_FILE and API_TLS_KEY_FILE must be a chain and its key, in PEM"
                raise ValueError(f"{words}: {error.strerror}") from error
        return self
