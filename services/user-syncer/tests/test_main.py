"""What the process says where it cannot start."""

import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from backbone.process_testing import ended
from user_syncer.testing import SEALING_KEYS

GOOD = {
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


def start(folder: Path, region: dict[str, Any], **settings: str) -> "CompletedProcess[str]":
    """How a process ended that was started with one region and these settings."""
    (folder / "regions.json").write_text(json.dumps([region]))
    return ended("user_syncer", folder, GOOD | settings)


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
    process = start(tmp_path, region, **settings)
    assert process.returncode == 2, process.stderr
    assert all(word in process.stderr for word in words), process.stderr
