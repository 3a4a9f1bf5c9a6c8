"""A user's current credential, handed out once and on record: nobody can read it a second time, or unseen."""

from typing import Any, Literal

from clouds.vault import SealedFor, VaultError
from pydantic import BaseModel

from project_api import access, audit
from project_api.parts import Caller
from project_api.web.errors import Problem, forbidden, not_found

# The tenant's role doesn't see members at all: whether the project is the caller's was asked before.
FIND = (
    "SELECT m.tenant_id, m.key_id, m.sealed_secret, m.provider_user_id, m.provider_project_id, p.region, p.provider"
    " FROM user_syncer.members AS m JOIN projects AS p USING (identifier)"
    " WHERE m.identifier = :identifier AND m.user_id = :user_id AND m.sealed_secret IS NOT NULL"
)
TAKE = (
    "INSERT INTO credential_reads (identifier, user_id, key_id, tenant_id, read_by)"
    " VALUES (:identifier, :user_id, :key_id, :tenant_id, :read_by) ON CONFLICT DO NOTHING RETURNING key_id"
)
READ_ALREADY = "This credential has been read already. Sync the user to get a new one."


class Credential(BaseModel):
    """A user's cloud credential; it cannot be read again."""

    user_id: int
    identifier: str
    access_key: str
    secret_key: str
    region: str
    provider: str


class OneCredential(BaseModel):
    """The user's current credential."""

    success: Literal[True]
    data: Credential


async def reveal(caller: Caller, identifier: str, user_id: int) -> dict[str, Any]:
    """The credential, to who may change the project and to the user themselves.

    Raises a 404 where there is none, a 403 for somebody else, a 410 where it was read before.
    """
    async with caller.reading() as connection:
        of_tenant = await access.require_reader(connection, caller, identifier)
    if not access.may_change(caller, of_tenant) and caller.principal.user_id != user_id:
        raise forbidden("Only administrators may read the credential of somebody else.")
    parts = caller.parts
    async with parts.database.transaction() as tx:
        row = (await tx.execute(FIND, {"identifier": identifier, "user_id": user_id})).one_or_none()
        if row is None:
            raise not_found(f"User {user_id} has no credential in this project.")
        taken = {"identifier": identifier, "user_id": user_id, "key_id": row.key_id, "tenant_id": row.tenant_id}
        if (await tx.execute(TAKE, {**taken, "read_by": caller.principal.user_id})).one_or_none() is None:
            raise Problem(410, READ_ALREADY)
        subject = f"project {identifier}"
        await audit.record(tx, caller.principal, "credential.read", subject, of_user=user_id, key=row.key_id)
        try:
            secret = parts.vault.open(bytes(row.sealed_secret), SealedFor(row.tenant_id, user_id, row.key_id))
        except VaultError as error:
            raise Problem(503, f"The credential cannot be opened: {error}") from error
    data = {"user_id": user_id, "identifier": identifier, "access_key": row.key_id, "secret_key": secret}
    return {"success": True, "data": {**data, "region": row.region, "provider": row.provider}}
