"""Access keys: each belongs to one user within one project, and works only with a role and a policy there."""

import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from hmac import compare_digest

from cloud_simulator.cloud import Cloud, Project, User, digest
from cloud_simulator.errors import Conflict, NotFound, Unauthorized


@dataclass(frozen=True, slots=True)
class Key:
    """An active key (they cannot be made inactive here). The secret is kept as a digest only."""

    access_key: str
    user_id: str
    project_id: str
    secret_digest: str
    created_at: str


class Keyring:
    """Every key of a cloud; the cloud's `Access` holds the ids, so that both are dropped together."""

    def __init__(self, cloud: Cloud, *, limit: int, secret_mark: str) -> None:
        """`limit` is per user and project; every secret begins with `secret_mark`."""
        self.keys: dict[str, Key] = {}
        self._cloud = cloud
        self._limit = limit
        self._secret_mark = secret_mark

    def issue(self, project: Project, user: User) -> tuple[Key, str]:
        """A new key with its secret, which is told this once. Raises Conflict at the limit."""
        access = self._cloud.hold(project, user)
        if len(access.keys) >= self._limit:
            raise Conflict(f"Cannot exceed quota for AccessKeysPerUser: {self._limit}", code="LimitExceeded")
        secret = self._secret_mark + secrets.token_urlsafe(30)
        created_at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        key = Key("AKIA" + secrets.token_hex(8).upper(), user.id, project.id, digest(secret), created_at)
        self.keys[key.access_key] = key
        access.keys.append(key.access_key)
        return key, secret

    def of(self, user: User, project_id: str | None) -> list[Key]:
        """The user's keys, oldest first within a project; in every project where none is named."""
        held = self._cloud.held(user)
        return [self.keys[k] for found, access in held if project_id in (None, found) for k in access.keys]

    def revoke(self, user: User, access_key: str) -> None:
        """Raises NotFound for a key that is gone, or is another user's."""
        key = self.keys.get(access_key)
        if key is None or key.user_id != user.id:
            raise NotFound(f"The Access Key with id {access_key} cannot be found.")
        self._cloud.access[key.project_id][user.id].keys.remove(access_key)
        del self.keys[access_key]

    def drop(self, access_keys: list[str]) -> None:
        """Forgets the keys whose project or user is gone."""
        for access_key in access_keys:
            del self.keys[access_key]

    def authenticate(self, access_key: str, secret: str) -> Key:
        """Raises Unauthorized for an unknown pair, and for a key whose user lacks the role or a policy."""
        key = self.keys.get(access_key)
        if key is None or not compare_digest(key.secret_digest, digest(secret)):
            raise Unauthorized("The access key or its secret is wrong.")
        access = self._cloud.access[key.project_id][key.user_id]
        if not access.is_effective:
            missing = "role" if access.role is None else "policy"
            raise Unauthorized(f"The key's user has no {missing} in the key's project.")
        return key
