"""What clients send and get about tenants, users and regions."""

import csv
import io
import re
from typing import Annotated, Any, Literal, Self

from clouds.naming import cloud_user_name
from pydantic import AfterValidator, BaseModel, Field, StringConstraints, ValidationError, model_validator

from project_api.requests import Body, Id, Name, Text
from project_api.web.errors import Problem, field_of, in_words
from project_api.web.paging import Links, Meta, PageQuery
from project_api.web.queries import or_blank

MAX_IMPORT = 10_000

Role = Literal["admin", "tenant_admin", "member"]
Scope = Literal["internal", "tenant", "client"]
ADDRESS = r"^[^@\s\x00-\x1f\x7f]+@[^@\s\x00-\x1f\x7f]+$"


def _address(value: str) -> str:
    if not re.fullmatch(ADDRESS, value):
        raise ValueError("The e-mail must be an address, as eve@uca.example.")
    # An account on a cloud is named by Python's lower case and users are told apart by the database's: they agree on
    # ASCII, and on what is in lower case already.
    return value if value.isascii() else cloud_user_name(value)


Email = Annotated[Text, Field(max_length=254, json_schema_extra={"pattern": ADDRESS}), AfterValidator(_address)]


Words = Annotated[str, StringConstraints(max_length=255, pattern=r"^[^\x00]*$")]


class UserQuery(PageQuery):
    """Which users, and which page of them."""

    role: Role | None = Field(default=None, json_schema_extra=or_blank)
    tenant_id: Id | None = Field(default=None, json_schema_extra=or_blank)
    search: Words = ""


class TenantQuery(PageQuery):
    """Which tenants, and which page of them."""

    search: Words = ""
    per_page: int = Field(default=1000, ge=1, le=1000, json_schema_extra=or_blank)


class SuggestionQuery(PageQuery):
    """Whom to suggest: `internal` users without a tenant, admins among them; else those of `tenant_id`."""

    scope: Scope = Field(default="internal", json_schema_extra=or_blank)
    tenant_id: Id | None = Field(default=None, json_schema_extra=or_blank)
    per_page: int = Field(default=1000, ge=1, le=1000, json_schema_extra=or_blank)


class TenantBody(Body):
    """A tenant to be created, or its new name."""

    name: Name


class UserBody(Body):
    """A user to be created."""

    name: Name
    email: Email
    role: Role
    tenant_id: Id | None = None

    @model_validator(mode="after")
    def _tenant_admin_of_a_tenant(self) -> Self:
        if self.role == "tenant_admin" and self.tenant_id is None:
            raise ValueError("A tenant_admin needs a tenant_id.")
        return self


class UserChanges(Body):
    """What may be changed of a user; what is left out stays, and only ``tenant_id`` may be null."""

    name: Name = ""
    email: Email = ""
    role: Role = "member"
    tenant_id: Id | None = None


class Import(Body):
    """Users to be created where their e-mail is not there yet."""

    users: Annotated[list[UserBody], Field(min_length=1, max_length=MAX_IMPORT)]


class Tenant(BaseModel):
    """A tenant."""

    id: int
    name: str


class User(BaseModel):
    """A user."""

    id: int
    name: str
    email: str
    role: Role
    tenant_id: int | None


class Region(BaseModel):
    """Where projects can be; ``code`` is what a project's ``region`` takes, and its ``provider`` goes with it."""

    code: str
    name: str
    region: str
    provider: str
    is_active: bool


IMPORT_BODIES: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {"schema": Import.model_json_schema(ref_template="#/components/schemas/{model}")},
        "text/csv": {
            "schema": {"type": "string", "example": "name,email,role,tenant_id\nEve,eve@uca.example,member,\n"}
        },
    },
}
"""What an import takes, for the API's description."""


class TenantAnswer(BaseModel):
    """One tenant."""

    success: bool
    message: str
    data: Tenant


class UserAnswer(BaseModel):
    """One user; ``runs`` names the projects in which the change started a run."""

    success: bool
    message: str
    data: User
    runs: list[str]


class TenantList(BaseModel):
    """Tenants, page by page."""

    success: bool
    data: list[Tenant]
    links: Links
    meta: Meta


class UserList(BaseModel):
    """Users, page by page."""

    success: bool
    data: list[User]
    links: Links
    meta: Meta


class Imported(BaseModel):
    """The users who were created, how many, and how many were there already."""

    success: bool
    message: str
    data: list[User]
    created: int
    existing: int


class Regions(BaseModel):
    """Regions, in the order of their file."""

    success: bool
    data: list[Region]


class Done(BaseModel):
    """It is done; ``runs`` names the projects in which it started a run."""

    success: bool
    message: str
    runs: list[str] = []


def parse_import(body: bytes, content_type: str) -> Import:
    """The users of a JSON body (``{"users": [...]}`` or the bare list) or a CSV one with a header line.

    Raises a 422 :class:`Problem` with each row's fields.
    """
    try:
        if content_type.startswith("text/csv"):
            return Import.model_validate({"users": _csv(body)})
        if body.lstrip().startswith(b"["):
            body = b'{"users":' + body + b"}"
        return Import.model_validate_json(body)
    except ValidationError as error:
        fields: dict[str, list[str]] = {}
        for each in error.errors(include_url=False, include_input=False)[:100]:
            field = field_of(each["loc"])
            fields.setdefault(field, []).append(in_words(field, each))
        raise Problem(422, next(iter(fields.values()))[0], errors=fields) from None


def _csv(body: bytes) -> list[dict[str, Any]]:
    try:
        rows = list(csv.DictReader(io.StringIO(body.decode("utf-8-sig")), strict=True, restkey="more"))
    except (UnicodeDecodeError, csv.Error) as error:
        raise Problem(422, f"The body is not CSV in UTF-8: {error}", errors={"body": ["not CSV in UTF-8"]}) from None
    return [{name.strip(): value or None for name, value in row.items() if name} for row in rows]
