import json
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from backbone.process_testing import ended

GOOD = {
    "CLOUD_REGIONS_FILE": "regions.json",
    "HERE_PASSWORD": "secret",
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
    return ended("link_provisioner", folder, GOOD | settings)


@pytest.mark.parametrize(
    ("region", "settings", "words"),
    [
        (REGION, {"LINK_TIMEOUT": "soon"}, ("LINK_TIMEOUT", "valid number")),
        (REGION, {"CLOUD_REGIONS_FILE": "absent.json"}, ("CLOUD_REGIONS_FILE", "absent.json", "cannot be read")),
        (REGION, {"HERE_PASSWORD": ""}, ("CLOUD_REGIONS_FILE", "HERE_PASSWORD is not set")),
        (REGION | {"provider": "cumulus"}, {}, ("CLOUD_REGIONS_FILE", "'cumulus' is not installed", "zadara")),
        (REGION | {"url": "ftp://x"}, {}, ("CLOUD_REGIONS_FILE", "http or https")),
    ],
)
def test_a_wrong_setting_is_named(
    tmp_path: Path, region: dict[str, Any], settings: dict[str, str], words: tuple[str, ...]
) -> None:
    """The process ends with 2 and says which setting, and what is wrong with it."""
    process = start(tmp_path, region, **settings)
    assert process.returncode == 2, process.stderr
    assert all(word in process.stderr for word in words), process.stderr
