"""SCRAM verifiers, so that a role's password reaches neither the database nor its log."""

import base64
import hashlib
import hmac
import secrets

ITERATIONS = 4096
"""PostgreSQL's own default (scram_iterations)."""


def scram_verifier(password: str, salt: bytes | None = None) -> str:
    """The form in which PostgreSQL keeps a password (RFC 5803): `SCRAM-SHA-256$<iterations>:<salt>$<stored>:<server>`.

    The password is taken as it is: one outside ASCII would have to be normalised (SASLprep) first.

    Raises:
        ValueError: the password is empty or not ASCII.
    """
    if not password or not password.isascii():
        raise ValueError("a database password must be of ASCII characters, at least one")
    salt = secrets.token_bytes(16) if salt is None else salt
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    server_key = hmac.digest(salted, b"Server Key", "sha256")
    stored_key = hashlib.sha256(client_key).digest()
    parts = (base64.b64encode(part).decode() for part in (salt, stored_key, server_key))
    return "SCRAM-SHA-256${}:{}${}:{}".format(ITERATIONS, *parts)
