"""What the process says where it cannot start."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from user_syncer.testing import SEALING_KEYS

GOOD = {
    "DATABASE_URL": "postgresql://u:p@127.0.0.1:1/db",
    "AMQP_URL": "amqp://u:p@127.0.0.1:1/",
    "CLOUD_REGIONS_FILE": "regions.json",
    "HERE_PASSWORD": "secret",
    "SEALING_KEYS": SEALING_KEYS,
}
REGION = {
    "code": "here",
    "name": "Here",
    "provider": "zadara",
    "url": "https://cloud.example.com",
    "account": "uca",
    "username": "portal",
    "password_env": "HERE_PASSWORD",
}


def start(folder: Path, region: dict[str, Any], **settings: str) -> subprocess.CompletedProcess[str]:
    (folder / "regions.json").write_text(json.dumps([region]))
    environment = {"PATH": os.environ["PATH"], **GOOD, **settings}
    command = [sys.executable, "-m", "user_syncer"]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=30, check=False)


@pytest.mark.parametrize(
    ("region", "settings", "words"),
    [
        (REGION, {"CHUNK_SIZE": "0"}, ("CHUNK_SIZE", "greater than or equal to 1")),
        (REGION, {"CLOUD_REGIONS_FILE": "absent.json"}, ("CLOUD_REGIONS_FILE", "absent.json", "cannot be read")),
        (REGION | {"provider": "cumulus"}, {}, ("CLOUD_REGIONS_FILE", "'cumulus' is not installed", "zadara")),
        (REGION, {"SEALING_KEYS": ""}, ("SEALING_KEYS", "openssl rand -base64 32")),
        (REGION, {"SEALING_KEYS": "a:short"}, ("SEALING_KEYS", "32 bytes")),
    ],
)
def test_a_wrong_setting_is_named(
    tmp_path: Path, region: dict[str, Any], settings: dict[str, str], words: tuple[str, ...]
) -> None:
    """The process ends with 2 and says which setting, and what is wrong with it."""
    ended = start(tmp_path, region, **settings)
    assert ended.returncode == 2, ended.stderr
    assert all(word in ended.stderr for word in words), ended.stderr
