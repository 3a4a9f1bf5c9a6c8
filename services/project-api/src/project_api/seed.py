"""Local mode: the first users, and tokens without an identity provider."""

import json

from backbone.database import Transaction

from project_api.auth.tokens import Principal, issue, role_of
from project_api.console import codes
from project_api.directory import tenants, users
from project_api.directory.people import User
from project_api.settings import Settings

ADMINS = (("Ada Admin", "ada@uca.example"), ("Alan Admin", "alan@uca.example"))
TENANT = "Example"
TENANT_ADMIN = ("Grace Example", "grace@example.example")

LOCK = "SELECT pg_advisory_xact_lock(hashtext('project_api.seed'))"


class Refused(Exception):
    """A command that cannot be carried out; the text says why."""


async def plant(tx: Transaction) -> str:
    """Makes two admins, a tenant and its tenant_admin where they are missing; their ids as JSON."""
    await tx.execute(LOCK)
    admins = [await _ensure(tx, name, email, "admin", None) for name, email in ADMINS]
    tenant = await tenants.named(tx, TENANT) or await tenants.create(tx, TENANT)
    tenant_admin = await _ensure(tx, *TENANT_ADMIN, "tenant_admin", tenant.id)
    return json.dumps({"admins": [each.id for each in admins], "tenant": tenant.id, "tenant_admin": tenant_admin.id})


async def _ensure(tx: Transaction, name: str, email: str, role: str, tenant_id: int | None) -> User:
    return await users.by_email(tx, email) or await users.create(tx, name, email, role, tenant_id)


async def token(tx: Transaction, settings: Settings, user_id: int, seconds: float) -> str:
    """A token of a user who is there, good for ``seconds``. Raises :class:`Refused`."""
    user = await _known(tx, settings, user_id)
    principal = Principal(user.id, role_of(user.role), user.tenant_id, user.email, user.name)
    assert settings.jwt_secret is not None  # noqa: S101 - _known has refused otherwise
    secret = settings.jwt_secret.get_secret_value()
    return issue(principal, secret, issuer=settings.jwt_issuer, audience=settings.jwt_audience, seconds=seconds)


async def console_code(tx: Transaction, settings: Settings, user_id: int) -> str:
    """A code that signs this user in to the console, once. Raises :class:`Refused`."""
    await _known(tx, settings, user_id)
    return await codes.make(tx, user_id)


async def _known(tx: Transaction, settings: Settings, user_id: int) -> User:
    if settings.jwt_secret is None:
        raise Refused("Tokens come from the identity provider (JWKS_URL is set); only JWT_SECRET makes local ones.")
    user = await users.find(tx, user_id)
    if user is None:
        raise Refused(f"There is no user {user_id}.")
    return user
