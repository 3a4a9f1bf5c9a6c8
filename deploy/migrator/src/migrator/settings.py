"""The migrator's environment."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from backbone.settings import check_url

from migrator import plan


class SettingsError(Exception):
    """The environment lacks something, or has it wrong; the message names each."""


@dataclass(frozen=True)
class Settings:
    """Where to prepare what.

    `database_url` is the owner's, who may create roles and schemas. `rabbitmq_api_url` is the management HTTP API's,
    with an administrator's credentials. `retry_scale` shortens the broker's retry delays, as for the services.
    """

    database_url: str = field(repr=False)
    rabbitmq_api_url: str = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)
    virtual_host: str
    retry_scale: float


def load(environment: Mapping[str, str], services: Iterable[plan.Service]) -> Settings:
    """Reads the settings.

    Raises:
        SettingsError: naming every variable that is missing or wrong.
    """
    required = ["DATABASE_URL", "RABBITMQ_API_URL", *plan.password_variables(services)]
    complaints = [f"setting {name}: missing" for name in required if not environment.get(name)]
    schemes = {"DATABASE_URL": ("postgresql", "postgres"), "RABBITMQ_API_URL": ("http", "https")}
    for name, allowed in schemes.items():
        try:
            if url := environment.get(name):
                check_url(url, *allowed)
        except ValueError as error:
            complaints.append(f"setting {name}: {error}")
    try:
        retry_scale = float(environment.get("RETRY_SCALE") or 1)
    except ValueError:
        retry_scale = 0
    if not 0 < retry_scale <= 1:
        complaints.append("setting RETRY_SCALE: must be a number above 0, at most 1")
    complaints += [
        f"setting {name}: must be of ASCII characters"
        for name in required[2:]
        if name.endswith("_DATABASE_PASSWORD") and not environment.get(name, "").isascii()
    ]
    if complaints:
        raise SettingsError("\n".join(complaints))
    return Settings(
        database_url=environment["DATABASE_URL"],
        rabbitmq_api_url=environment["RABBITMQ_API_URL"].rstrip("/"),
        passwords={name: environment[name] for name in required[2:]},
        virtual_host=environment.get("RABBITMQ_VHOST") or "/",
        retry_scale=retry_scale,
    )
