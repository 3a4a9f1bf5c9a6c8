"""The simulator's environment."""

from typing import Annotated

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict


class Settings(BaseSettings):
    """Each is read from `SIMULATOR_<NAME>`. The defaults suit a laptop and are secrets of nothing."""

    model_config = SettingsConfigDict(env_prefix="SIMULATOR_", env_ignore_empty=True)

    host: str = "127.0.0.1"
    port: int = Field(default=18080, ge=1, le=65535)
    username: str = Field(default="admin", min_length=1)
    password: str = Field(default="simulated-password", min_length=1, repr=False)
    access_key: str = Field(default="AKIASIMULATEDADMIN", min_length=1)
    secret_key: str = Field(default="simulated-secret-key", min_length=1, repr=False)
    accounts: Annotated[list[str], NoDecode] = ["uca"]
    mark_secrets: str = ""
    key_limit: int = Field(default=2, ge=1)

    @field_validator("accounts", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return [name.strip() for name in value.split(",") if name.strip()] if isinstance(value, str) else value

    @field_validator("accounts")
    @classmethod
    def _distinct(cls, names: list[str]) -> list[str]:
        if not names or len({name.casefold() for name in names}) < len(names):
            raise ValueError("name at least one account, each once whatever its case, separated by commas")
        return names
