"""Who a caller is: tokens issued in local mode, and tokens verified."""

import time
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, get_args

import jwt

Role = Literal["admin", "tenant_admin", "member"]
ROLES: tuple[Role, ...] = get_args(Role)

REQUIRED = ("exp", "iss", "aud", "sub")
CACHED_TOKENS = 10_000
EXPIRED = "The token has expired. Sign in again."


class Unauthenticated(Exception):
    """No token, or one that is not good; the text is for the caller and repeats nothing of it."""


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller. ``tenant_id`` is None for who belongs to no tenant; times are epoch seconds."""

    user_id: int
    role: Role
    tenant_id: int | None
    email: str
    name: str = ""
    issued_at: float = 0.0
    expires_at: float = 0.0
    is_admin: bool = field(init=False)

    def __post_init__(self) -> None:
        """It is asked several times a request."""
        object.__setattr__(self, "is_admin", self.role == "admin")

    @property
    def label(self) -> str:
        """For people who read later who it was."""
        return self.email or f"user {self.user_id}"


class Keys(Protocol):
    """Where verification keys come from."""

    @property
    def algorithms(self) -> tuple[str, ...]: ...

    @property
    def generation(self) -> int:
        """Rises with each change of the keys."""
        ...

    async def find(self, kid: str | None) -> Any:
        """The key of that id. Raises :class:`Unauthenticated` where there is none."""
        ...


class SharedSecret:
    """The one key of local mode."""

    algorithms = ("HS256",)
    generation = 0

    def __init__(self, secret: str) -> None:
        self._secret = secret

    async def find(self, kid: str | None) -> str:
        return self._secret


class Verifier:
    """Verifies tokens; a good one is remembered until it expires or the keys change.

    ``refuses`` is asked each time, for a token may be called back.
    """

    def __init__(
        self,
        keys: Keys,
        *,
        issuer: str,
        audience: str,
        refuses: Callable[[Principal], bool] = lambda _: False,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._keys = keys
        self._issuer = issuer
        self._audience = audience
        self._refuses = refuses
        self._clock = clock
        self._verified: OrderedDict[str, Principal] = OrderedDict()
        self._generation = keys.generation

    async def verify(self, token: str) -> Principal:
        """The token's owner. Raises :class:`Unauthenticated`."""
        if self._generation != self._keys.generation:
            self._verified.clear()
            self._generation = self._keys.generation
        principal = self._verified.get(token) or await self._remember(token)
        if principal.expires_at <= self._clock():
            self._verified.pop(token, None)
            raise Unauthenticated(EXPIRED)
        if self._refuses(principal):
            raise Unauthenticated("The token was called back. Sign in again.")
        return principal

    async def _remember(self, token: str) -> Principal:
        principal = self._verified[token] = await self._decode(token)
        if len(self._verified) > CACHED_TOKENS:
            self._verified.popitem(last=False)
        return principal

    async def _decode(self, token: str) -> Principal:
        try:
            header = jwt.get_unverified_header(token)
            if header.get("alg") not in self._keys.algorithms:
                raise Unauthenticated("The token is not signed in a way that is accepted here.")
            claims = jwt.decode(
                token,
                await self._keys.find(header.get("kid")),
                algorithms=list(self._keys.algorithms),
                issuer=self._issuer,
                audience=self._audience,
                options={"require": list(REQUIRED)},
            )
        except jwt.ExpiredSignatureError:
            raise Unauthenticated(EXPIRED) from None
        except jwt.InvalidTokenError:
            raise Unauthenticated("The token is not valid. Sign in again.") from None
        return principal_of(claims)


def principal_of(claims: Mapping[str, Any]) -> Principal:
    """The owner that verified claims name. Raises :class:`Unauthenticated` where one of ours is missing or odd."""
    tenant_id, role = claims.get("tenant_id"), claims.get("role")
    try:
        user_id = _id(claims["sub"])
        tenant = None if tenant_id is None else _id(tenant_id)
        issued_at, expires_at = float(claims.get("iat", 0)), float(claims["exp"])
    except (OverflowError, TypeError, ValueError):
        raise Unauthenticated("The token names no user of this service.") from None
    if role not in ROLES or (role == "tenant_admin" and tenant is None):
        raise Unauthenticated("The token carries no role of this service.")
    return Principal(
        user_id, role, tenant, str(claims.get("email", "")), str(claims.get("name", "")), issued_at, expires_at
    )


def _id(claim: Any) -> int:
    number = int(claim)
    if isinstance(claim, bool) or not 0 < number < 2**63:
        raise ValueError(claim)  # nobody's, and the database could not hold it
    return number


def role_of(word: str) -> Role:
    """The word as a role. Raises ValueError."""
    if word not in ROLES:
        raise ValueError(f"no role: {word}")
    return word


def issue(principal: Principal, secret: str, *, issuer: str, audience: str, seconds: float) -> str:
    """A local token that is good for ``seconds`` from now."""
    now = time.time()  # with its fraction: a token right after a change of its user is no older than that
    claims = {
        "sub": str(principal.user_id),
        "role": principal.role,
        "tenant_id": principal.tenant_id,
        "email": principal.email,
        "name": principal.name,
        "iss": issuer,
        "aud": audience,
        "iat": now,
        "exp": int(now + seconds),
    }
    return jwt.encode(claims, secret, algorithm="HS256")
