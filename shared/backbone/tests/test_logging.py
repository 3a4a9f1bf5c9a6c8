import json
import logging
import subprocess
import sys

import pytest
from backbone.logging import redact, strike

CANARY = "canary-5f1c"


@pytest.mark.parametrize(
    "name",
    ["password", "admin_password", "secret", "secret_key", "token", "Authorization", "cookie", "api_key", "sealed"],
)
def test_a_field_that_is_named_for_a_secret_is_struck_out(name: str) -> None:
    """Whatever its value, and whatever the case of its name."""
    assert redact(None, "info", {"event": "link.ensured", name: CANARY})[name] == "***"


def test_a_credentials_id_is_no_secret() -> None:
    """What tells one credential from another stays readable."""
    fields = {"event": "user.synced", "credential_id": "AK1", "identifier": "F81401", "tries": 3}
    assert redact(None, "info", dict(fields)) == fields


@pytest.mark.parametrize(
    "words",
    [
        f"amqp://user-syncer:{CANARY}@broker/uca is away",
        f"Authorization: Bearer {CANARY}",
        f"x-auth-token={CANARY}",
        f"token eyJhbGciOiJIUzI1NiJ9.{CANARY}.{CANARY} refused",
    ],
)
def test_a_secret_inside_a_text_is_struck_out(words: str) -> None:
    """URL passwords, bearer tokens and JWTs leave no trace; the rest of the sentence stays."""
    assert CANARY not in strike(words)
    assert "***" in strike(words)


def test_every_line_is_json_without_secrets() -> None:
    """Ours, a library's and a traceback alike, with the service's name and the correlation that is bound."""
    script = f"""
import logging, structlog
from backbone.logging import configure
configure("user-syncer", "INFO")
structlog.contextvars.bind_contextvars(correlation="F81401/1")
try:
    raise OSError("postgresql://uca:{CANARY}@db/uca is away")
except OSError:
    structlog.get_logger().exception("database.unavailable", token="{CANARY}")
logging.getLogger("aio_pika").warning("amqp://uca:{CANARY}@broker/uca closed")
"""
    said = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert CANARY not in said.stdout + said.stderr
    lines = [json.loads(line) for line in said.stdout.splitlines()]
    assert {line["service"] for line in lines} == {"user-syncer"}
    assert {line["correlation"] for line in lines} == {"F81401/1"}
    assert lines[0]["event"] == "database.unavailable"
    assert "Traceback" in lines[0]["exception"]
    assert lines[1]["level"] == logging.getLevelName(logging.WARNING).lower()
