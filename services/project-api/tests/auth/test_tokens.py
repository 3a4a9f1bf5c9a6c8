"""Tokens: the security table's first row."""

import base64
import json
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from project_api.auth import jwks
from project_api.auth.jwks import COOLDOWN, REFRESH, KeySet
from project_api.auth.tokens import Principal, SharedSecret, Unauthenticated, Verifier
from project_api.web.errors import Problem

SECRET = "a secret of the tests alone, long enough for every algorithm there is"
ISSUER, AUDIENCE = "an issuer", "an audience"
RSA_KEY = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC_KEY = ec.generate_private_key(ec.SECP256R1())


def claims(**changes: Any) -> dict[str, Any]:
    """Good claims but for the changes; a change to None leaves the claim out."""
    now = int(time.time())
    good = {"sub": "7", "role": "member", "tenant_id": 5, "email": "e@uca.test", "iss": ISSUER, "aud": AUDIENCE}
    return {k: v for k, v in {**good, "iat": now, "exp": now + 60, **changes}.items() if v is not None}


def unsigned(payload: dict[str, Any]) -> str:
    """A token of algorithm none."""
    parts = ({"alg": "none", "typ": "JWT"}, payload)
    return ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).rstrip(b"=").decode() for part in parts) + "."


@pytest.fixture
def verifier() -> Verifier:
    """Of the shared secret."""
    return Verifier(SharedSecret(SECRET), issuer=ISSUER, audience=AUDIENCE)


async def test_a_good_token_names_its_owner(verifier: Verifier) -> None:
    """User, role and tenant are the token's; so are its times."""
    payload = claims()
    principal = await verifier.verify(jwt.encode(payload, SECRET))
    assert principal == Principal(7, "member", 5, "e@uca.test", "", payload["iat"], payload["exp"])


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": None},
        {"iss": None},
        {"aud": None},
        {"sub": None},
        {"exp": int(time.time()) - 1},
        {"iss": "somebody"},
        {"aud": "something"},
        {"sub": "root"},
        {"sub": str(2**63)},
        {"sub": "0"},
        {"tenant_id": 2**63},
        {"tenant_id": True},
        {"tenant_id": float("inf")},
        {"role": None},
        {"role": "king"},
        {"tenant_id": "five"},
        {"role": "tenant_admin", "tenant_id": None},
        {"nbf": int(time.time()) + 3600},
    ],
)
async def test_a_token_with_a_wrong_claim_is_refused(verifier: Verifier, changes: dict[str, Any]) -> None:
    """Whatever is missing, wrong or over."""
    with pytest.raises(Unauthenticated):
        await verifier.verify(jwt.encode(claims(**changes), SECRET))


@pytest.mark.parametrize(
    "token",
    [
        unsigned(claims()),
        jwt.encode(claims(), SECRET, algorithm="HS512"),
        jwt.encode(claims(), "another secret, also long enough for it"),
        jwt.encode(claims(), RSA_KEY, algorithm="RS256"),
        jwt.encode(claims(), SECRET)[:-2],
        "",
        "a.b.c",
        "é",
    ],
)
async def test_a_token_signed_otherwise_is_refused(verifier: Verifier, token: str) -> None:
    """None, another algorithm, another key, and what is no token at all."""
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_a_remembered_token_ends_all_the_same() -> None:
    """Verified once, it is not verified again, and yet not taken beyond its time."""
    now = time.time()
    verifier = Verifier(SharedSecret(SECRET), issuer=ISSUER, audience=AUDIENCE, clock=lambda: now)
    token = jwt.encode(claims(), SECRET)
    await verifier.verify(token)
    now += 61
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


async def test_a_called_back_token_is_refused() -> None:
    """Good by its signature, remembered, and refused from the moment on at which it is called back."""
    refused: list[int] = []
    verifier = Verifier(SharedSecret(SECRET), issuer=ISSUER, audience=AUDIENCE, refuses=lambda p: p.user_id in refused)
    token = jwt.encode(claims(), SECRET)
    await verifier.verify(token)
    refused.append(7)
    with pytest.raises(Unauthenticated):
        await verifier.verify(token)


class Provider:
    """An identity provider's key endpoint, and the clock that key sets are given."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {"one": RSA_KEY.public_key()}
        self.answer: httpx.Response | None = None
        self.fetches = 0
        self.now = 1000.0

    def handle(self, _: httpx.Request) -> httpx.Response:
        self.fetches += 1
        return self.answer or httpx.Response(200, json={"keys": [self._jwk(k, v) for k, v in self.keys.items()]})

    def _jwk(self, kid: str, key: Any) -> dict[str, Any]:
        algorithm = jwt.get_algorithm_by_name("RS256" if isinstance(key, rsa.RSAPublicKey) else "ES256")
        return {**json.loads(algorithm.to_jwk(key)), "kid": kid, "use": "sig"}


@pytest.fixture
def provider() -> Provider:
    """A provider with one key, `one`."""
    return Provider()


@pytest.fixture
async def keys(provider: Provider) -> AsyncIterator[KeySet]:
    """The provider's keys."""
    async with httpx.AsyncClient(transport=httpx.MockTransport(provider.handle)) as client:
        yield KeySet("https://idp.uca.test/keys", client, clock=lambda: provider.now)


@pytest.fixture
def by_keys(keys: KeySet) -> Verifier:
    """Of the provider's keys."""
    return Verifier(keys, issuer=ISSUER, audience=AUDIENCE)


def signed(kid: str | None = "one", key: Any = RSA_KEY, algorithm: str = "RS256") -> str:
    """A token of a provider's key."""
    return jwt.encode(claims(), key, algorithm=algorithm, headers={"kid": kid} if kid else None)


async def test_a_provider_key_verifies(by_keys: Verifier, provider: Provider) -> None:
    """Keys are fetched once for many tokens."""
    for _ in range(3):
        await by_keys.verify(signed())
    assert provider.fetches == 1


async def test_before_there_are_keys_no_token_is_judged(by_keys: Verifier, keys: KeySet, provider: Provider) -> None:
    """With the provider away since the start a token is a 503 that says when to come again, for it may be good."""
    provider.answer = httpx.Response(500)
    with pytest.raises(Problem) as refusal:
        await by_keys.verify(signed())
    assert (refusal.value.status, refusal.value.headers) == (503, {"Retry-After": "30"})
    assert not keys.fetched()
    provider.answer = None
    provider.now += COOLDOWN
    await by_keys.verify(signed())
    assert keys.fetched()


async def test_random_key_ids_fetch_at_most_once(by_keys: Verifier, provider: Provider) -> None:
    """A thousand unknown ids within 30 s cost the provider one request."""
    await by_keys.verify(signed())
    provider.now += COOLDOWN
    for number in range(1000):
        with pytest.raises(Unauthenticated):
            await by_keys.verify(signed(f"random-{number}"))
    assert provider.fetches == 2


async def test_a_rotated_key_works(by_keys: Verifier, provider: Provider) -> None:
    """A new key is fetched when its first token comes, and the withdrawn one ends."""
    old = signed()
    await by_keys.verify(old)
    provider.now += COOLDOWN
    provider.keys = {"two": EC_KEY.public_key()}
    await by_keys.verify(signed("two", EC_KEY, "ES256"))
    with pytest.raises(Unauthenticated):
        await by_keys.verify(old)


async def test_a_withdrawn_key_ends_without_a_new_one(by_keys: Verifier, keys: KeySet, provider: Provider) -> None:
    """The background refresh sees it."""
    await by_keys.verify(signed())
    provider.keys = {"two": EC_KEY.public_key()}
    provider.now += REFRESH
    await keys.refresh()
    with pytest.raises(Unauthenticated):
        await by_keys.verify(signed())


@pytest.mark.parametrize(
    "answer",
    [
        httpx.Response(500),
        httpx.Response(302, headers={"Location": "http://127.0.0.1/"}),
        httpx.Response(200, text="no JSON"),
        httpx.Response(200, json={"keys": []}),
        httpx.Response(200, json=[1]),
        httpx.Response(200, content=b"[" * (jwks.MAX_BYTES + 1)),
    ],
)
async def test_the_last_known_good_keys_are_kept(
    by_keys: Verifier, keys: KeySet, provider: Provider, answer: httpx.Response
) -> None:
    """A provider that is away, or answers nonsense, locks nobody out."""
    await by_keys.verify(signed())
    provider.answer = answer
    provider.now += REFRESH
    await keys.refresh()
    assert provider.fetches == 2
    await by_keys.verify(signed())


async def test_a_public_key_is_no_shared_secret(by_keys: Verifier) -> None:
    """HS256 with the provider's public key as secret, the well-known confusion, is refused."""
    public = RSA_KEY.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    header = base64.urlsafe_b64encode(json.dumps({"alg": "HS256", "kid": "one"}).encode()).rstrip(b"=")
    payload = base64.urlsafe_b64encode(json.dumps(claims()).encode()).rstrip(b"=")
    algorithm = jwt.get_algorithm_by_name("HS256")
    signature = base64.urlsafe_b64encode(algorithm.sign(header + b"." + payload, public)).rstrip(b"=")
    with pytest.raises(Unauthenticated):
        await by_keys.verify(b".".join((header, payload, signature)).decode())
