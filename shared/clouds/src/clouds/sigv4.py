"""AWS's signature version 4 for one POST without a query: what zCompute's IAM interface asks for, and no more of it."""

import hashlib
import hmac
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"


class Signer(NamedTuple):
    """Whose key signs, and the scope that a signature is good for."""

    access_key: str
    secret: str
    region: str
    service: str = "iam"

    def headers(self, url: str, given: Mapping[str, str], body: bytes, now: datetime) -> dict[str, str]:
        """The given headers, whose names are in lower case, with the date and the signature over all of them.

        `now` is in UTC; the cloud refuses a signature that is some minutes old.
        """
        parts, date = urlsplit(url), f"{now:%Y%m%dT%H%M%SZ}"
        signed = dict(sorted({**given, "host": parts.netloc, "x-amz-date": date}.items()))  # as clouds.http says it
        names = ";".join(signed)
        lines = [f"{name}:{' '.join(value.split())}" for name, value in signed.items()]
        path = quote(parts.path or "/", safe="/~")
        request = "\n".join(["POST", path, "", *lines, "", names, hashlib.sha256(body).hexdigest()])
        scope = f"{now:%Y%m%d}/{self.region}/{self.service}/aws4_request"
        words = "\n".join([ALGORITHM, date, scope, hashlib.sha256(request.encode()).hexdigest()])
        key = f"AWS4{self.secret}".encode()
        for part in scope.split("/"):
            key = _keyed(key, part)
        signature = _keyed(key, words).hex()
        credential = f"Credential={self.access_key}/{scope}"
        told = f"{ALGORITHM} {credential}, SignedHeaders={names}, Signature={signature}"
        return {**given, "x-amz-date": date, "authorization": told}


def _keyed(key: bytes, words: str) -> bytes:
    return hmac.digest(key, words.encode(), "sha256")
