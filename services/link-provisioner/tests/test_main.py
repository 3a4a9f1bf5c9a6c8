import json
import socket
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from backbone.process_testing import NOWHERE, ended
from link_provisioner.settings import Settings

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
    ("settings", "places", "standing"),
    [
        ({}, 12, 128),
        ({"cloud_max_in_flight": 16, "cloud_replicas": 4}, 4, 128),
        ({"region_share": 1, "prefetch": 50}, 1, 25),
    ],
)
def test_places_follow_a_replicas_calls(settings: dict[str, int], places: int, standing: int) -> None:
    """As many as its calls at once where nothing else is said; and half of what is in hand may stand in slow lines."""
    loaded = Settings.model_validate(
        {
            "cloud_regions_file": "x",
            "database_url": NOWHERE["DATABASE_URL"],
            "amqp_url": NOWHERE["AMQP_URL"],
            **settings,
        }
    )
    assert (loaded.places, loaded.standing) == (places, standing)


def test_a_metrics_listener_that_cannot_be_opened_is_named(tmp_path: Path) -> None:
    """By the one of its two settings that is to blame."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        process = start(tmp_path, REGION, METRICS_PORT=str(taken.getsockname()[1]))
    assert (process.returncode, process.stderr.split(":")[0]) == (2, "setting METRICS_PORT"), process.stderr
    process = start(tmp_path, REGION, METRICS_PORT="1", METRICS_HOST="999.1.1.1")
    assert (process.returncode, process.stderr.split(":")[0]) == (2, "setting METRICS_HOST"), process.stderr


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
