"""What there is to prepare: each service's schema, login roles and broker user, and the passwords that they need."""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

FURTHER_ROLES: Mapping[str, tuple[str, ...]] = {"project-api": ("uca_project_api_tenant",)}
"""Roles beside a service's first one. project-api's second role sees one tenant's rows (row-level security)."""


@dataclass(frozen=True)
class Service:
    """A service as database and broker see it; its name is also its broker user."""

    name: str

    @property
    def schema(self) -> str:
        """The schema that it owns, and the package that has its migrations."""
        return self.name.replace("-", "_")

    @property
    def role(self) -> str:
        """The login role that reads and writes the whole schema."""
        return f"uca_{self.schema}"

    @property
    def further_roles(self) -> tuple[str, ...]:
        """Roles that may enter the schema, and get table by table in its migrations what they may do there."""
        return FURTHER_ROLES.get(self.name, ())

    @property
    def roles(self) -> tuple[str, ...]:
        return self.role, *self.further_roles


def database_password(role: str) -> str:
    """The variable with a role's password: uca_user_syncer -> USER_SYNCER_DATABASE_PASSWORD."""
    return f"{role.removeprefix('uca_').upper()}_DATABASE_PASSWORD"


def amqp_password(service: str) -> str:
    """The variable with a broker user's password: user-syncer -> USER_SYNCER_AMQP_PASSWORD."""
    return f"{service.replace('-', '_').upper()}_AMQP_PASSWORD"


def password_variables(services: Iterable[Service]) -> Iterator[str]:
    """Every password that the environment must bring."""
    for service in services:
        yield from (database_password(role) for role in service.roles)
        yield amqp_password(service.name)
