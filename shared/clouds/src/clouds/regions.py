"""The regions that may be called, from a JSON file; what is wrong in it is said region by region, field by field."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self, TypeVar
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, field_validator, model_validator

from clouds.addresses import check_url

_DEFAULT_PORTS = {"http": 80, "https": 443}


class RegionsError(ValueError):
    """The regions file cannot be used; the text says which region and field, and what to write."""


class Region(BaseModel):
    """One region of one provider. ``account`` is the Keystone domain, or the zCompute account."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    code: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,62}$")
    name: str = Field(min_length=1, max_length=255)
    provider: str = Field(min_length=1, max_length=63)
    url: str
    account: str = Field(min_length=1)
    username: str = Field(min_length=1)
    password: SecretStr = Field(default=SecretStr(""), exclude=True)
    password_env: str | None = None
    password_file: Path | None = None
    is_active: bool = True
    ca_file: Path | None = None
    """The authorities that sign the cloud's certificate, where the system's are not the right ones."""
    allow_private: bool = False
    """The region is in a private network (10/8 and its like), and may be called by plain http."""
    timeout: float | None = Field(default=None, gt=0, le=300)
    """Seconds for one answer, where this cloud is not as quick as others; else the service's own setting counts."""
    roles: Mapping[str, str] = {}
    """Directory role (admin, tenant_admin, member) to cloud role; one left out gets the plain member role."""
    options: Mapping[str, Any] = {}
    """The provider's own settings, which it checks itself."""

    @field_validator("url")
    @classmethod
    def _without_default_port(cls, url: str) -> str:
        """A request's signature leaves out a port that the scheme implies, so its Host must leave it out, too."""
        scheme = urlsplit(url).scheme
        return re.sub(rf"^(\w+://[^/]*):{_DEFAULT_PORTS.get(scheme, '')}(?=/|$)", r"\1", url)

    @model_validator(mode="after")
    def _url_is_callable(self) -> Self:
        try:
            check_url(self.url, allow_private=self.allow_private)
        except ValueError as wrong:
            raise ValueError(f"url {wrong}") from wrong
        return self


def load_regions(path: Path, environ: Mapping[str, str] = os.environ) -> dict[str, Region]:
    """Regions by code, in the file's order; passwords come from ``password_env`` or ``password_file``.

    Raises RegionsError when the file is missing, is no JSON list, repeats a code, or a field is wrong.
    """
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
    except OSError as wrong:
        raise RegionsError(
            f"{path}: cannot be read ({wrong.strerror}); set CLOUD_REGIONS_FILE to a regions file"
        ) from wrong
    except ValueError as wrong:
        raise RegionsError(f"{path}: is not JSON: {wrong}") from wrong
    if not isinstance(entries, list) or not entries:
        raise RegionsError(f"{path}: must be a list with at least one region")
    regions: dict[str, Region] = {}
    for number, entry in enumerate(entries, start=1):
        region = _load_region(path, number, entry, environ)
        if region.code in regions:
            raise RegionsError(f"{path}: region {region.code!r} is there twice; codes must differ")
        regions[region.code] = region
    return regions


def _load_region(path: Path, number: int, entry: object, environ: Mapping[str, str]) -> Region:
    if not isinstance(entry, dict):
        raise RegionsError(f"{path}: region {number} must be an object")
    where = f"{path}: region {entry.get('code') or number!r}"
    if "password" in entry:
        raise RegionsError(f"{where}: password must not be in the file; name it by password_env or password_file")
    try:
        region = Region.model_validate(entry)
    except ValidationError as wrong:
        raise RegionsError(f"{where}: {_details(wrong)}") from None  # the cause would print the entry
    return region.model_copy(update={"password": _password(where, region, environ)})


def _details(wrong: ValidationError) -> str:
    """Field and reason of each error; never the value, which may be a secret."""
    errors = wrong.errors(include_url=False, include_context=False, include_input=False)
    return "; ".join(
        f"{'.'.join(map(str, error['loc'])) or 'region'}: {error['msg'].removeprefix('Value error, ')}"
        for error in errors
    )


def _password(where: str, region: Region, environ: Mapping[str, str]) -> SecretStr:
    if bool(region.password_env) == bool(region.password_file):
        raise RegionsError(f"{where}: give either password_env or password_file")
    if region.password_env:
        value = environ.get(region.password_env, "")
        if not value:
            raise RegionsError(f"{where}: password_env: {region.password_env} is not set in the environment")
        return SecretStr(value)
    assert region.password_file is not None  # noqa: S101 - one of the two is set, as checked above
    try:
        value = region.password_file.read_text(encoding="utf-8").strip()
    except OSError as wrong:
        raise RegionsError(
            f"{where}: password_file: {region.password_file} cannot be read ({wrong.strerror})"
        ) from wrong
    except UnicodeDecodeError:  # whose words would show what is in the file
        raise RegionsError(f"{where}: password_file: {region.password_file} is no text") from None
    if not value:
        raise RegionsError(f"{where}: password_file: {region.password_file} is empty")
    return SecretStr(value)


OptionsT = TypeVar("OptionsT", bound=BaseModel)


def region_options(region: Region, model: type[OptionsT]) -> OptionsT:
    """The region's ``options`` as the provider's own model. Raises RegionsError, naming region and field."""
    try:
        return model.model_validate(region.options)
    except ValidationError as wrong:
        raise RegionsError(f"region {region.code!r}: options: {_details(wrong)}") from None  # the cause prints values
