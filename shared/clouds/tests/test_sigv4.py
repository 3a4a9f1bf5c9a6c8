"""Signatures of others' making: AWS's published suite, and those that botocore 1.44.5 made of the same requests."""

from datetime import UTC, datetime

import pytest
from clouds.sigv4 import Signer

NOW = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
SECRET = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
FORM = {"content-type": "application/x-www-form-urlencoded; charset=utf-8", "accept": "text/xml"}


@pytest.mark.parametrize(
    ("signer", "url", "headers", "body", "expected"),
    [
        pytest.param(
            Signer("AKIDEXAMPLE", SECRET, "us-east-1", "service"),
            "https://example.amazonaws.com/",
            {"content-type": "application/x-www-form-urlencoded"},
            b"Param1=value1",
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
            id="AWS's post-x-www-form-urlencoded",
        ),
        pytest.param(
            Signer("AKIDEXAMPLE", SECRET, "us-east-1"),
            "https://cloud.example:8443/aws/iam/",
            FORM,
            b"Action=ListAccessKeys&UserName=a%40b.c",
            "0c938c12a6b1b45e375f063cc78440443711ad9e08f433df5161a3636c2b1236",
            id="a port of its own",
        ),
        pytest.param(
            Signer("AKIDEXAMPLE", SECRET, "symphony"),
            "http://cloud.example/a b/iam~x",
            FORM,
            b"",
            "985ba2ad9c424674a0c6cb12a4499342f89b98119e5287176bfe965edded2e4e",
            id="a path that is quoted",
        ),
        pytest.param(
            Signer("AKIDEXAMPLE", SECRET, "eu-1"),
            "https://[::1]:8443/aws/iam/",
            FORM,
            b"x",
            "c7790720440e416ab17656cf8b1efc9f7ac8c4ea4a3787adf95241d1041029f9",
            id="an address of version 6",
        ),
    ],
)
def test_a_signature_is_as_others_make_it(
    signer: Signer, url: str, headers: dict[str, str], body: bytes, expected: str
) -> None:
    """Over every header, the host as it is said, and the body."""
    signed = signer.headers(url, headers, body, NOW)
    assert signed["authorization"].endswith(f"Signature={expected}")
    assert signed == {**headers, "x-amz-date": "20150830T123600Z", "authorization": signed["authorization"]}
